"""The air of the virtual machine: a Bluetooth controller that the kernel takes for a stick, and what is around it.

Whoever connects to the Unix socket is a peripheral, for as long as the connection lasts: within reach when it comes,
out of reach when it goes. Nothing here knows what a lock is. Each says first, in one line of JSON, what it is
(`address`, `advertisement`, and `services` with the characteristics of each); then it is told, one line each, and
answers each with one line:

    {"linked": true}                    {}
    {"write": UUID, "value": HEX}       {"indicate": [HEX, ...]}    of the same characteristic, in this order
"""

import asyncio
import json
import os
import sys

from bumble import hci
from bumble.controller import Controller
from bumble.core import UUID, PhysicalTransport
from bumble.device import Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink
from bumble.transport.vhci import open_vhci_transport

ADAPTER = "00:1A:7D:DA:71:13"


class Air(LocalLink):
    """Labels what goes over an LE link by the address with which that link was made.

    Bumble takes the sender's random address, and Linux scans with one that it throws away.
    """

    def send_acl_data(self, sender_controller, destination_address, transport, data):
        link = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        if transport == PhysicalTransport.LE and link and receiver:
            loop = asyncio.get_running_loop()
            loop.call_soon(receiver.on_link_acl_data, link.self_address, transport, data)


class Adapter(Controller):
    """Says that a link came about by the event for which a kernel waits that knows extended advertising."""

    def send_hci_packet(self, packet):
        if isinstance(packet, hci.HCI_LE_Connection_Complete_Event):
            packet = hci.HCI_LE_Enhanced_Connection_Complete_Event(
                status=packet.status,
                connection_handle=packet.connection_handle,
                role=packet.role,
                peer_address_type=packet.peer_address_type,
                peer_address=packet.peer_address,
                local_resolvable_private_address=hci.Address.ANY,
                peer_resolvable_private_address=hci.Address.ANY,
                connection_interval=packet.connection_interval,
                peripheral_latency=packet.peripheral_latency,
                supervision_timeout=packet.supervision_timeout,
                central_clock_accuracy=packet.central_clock_accuracy,
            )
        super().send_hci_packet(packet)


class Peripheral:
    """One connection to the socket."""

    def __init__(self, air, adapter, reader, writer):
        self.air, self.adapter = air, adapter
        self.reader, self.writer = reader, writer
        self.address = None
        self.turn = asyncio.Lock()
        self.tasks = set()

    async def serve(self):
        hello = json.loads(await self.reader.readline())
        self.address = hci.Address(hello["address"], hci.Address.PUBLIC_DEVICE_ADDRESS)
        controller = Controller(hello["address"], link=self.air, public_address=self.address)
        try:
            config = DeviceConfiguration(name="lock", address=self.address)
            device = Device(config=config, host=Host(controller, AsyncPipeSink(controller)))
            for service, characteristics in hello["services"].items():
                device.add_service(Service(service, [self.characteristic(device, of) for of in characteristics]))
            device.on("connection", lambda _link: self.begin(self.ask({"linked": True})))
            await device.power_on()
            await device.start_advertising(
                own_address_type=hci.OwnAddressType.PUBLIC,
                advertising_data=bytes.fromhex(hello["advertisement"]),
                advertising_interval_min=100,
                advertising_interval_max=100,
                auto_restart=True,
            )
            # Out of reach as soon as the other end closes; answers are read by whoever asks.
            await self.gone()
        finally:
            self.leave(controller)

    async def gone(self):
        while not self.reader.at_eof():
            await asyncio.sleep(0.05)

    def leave(self, controller):
        """The adapter hears it no more, and its link times out."""
        for advertising in controller.advertising_sets.values():
            advertising.stop()
        self.air.remove_controller(controller)
        if link := self.adapter.le_connections.get(self.address):
            self.adapter.on_le_disconnected(link, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
        self.writer.close()

    def characteristic(self, device, uuid):
        async def write(link, value):
            answer = await self.ask({"write": uuid, "value": value.hex()})
            self.begin(indicate(link, [bytes.fromhex(one) for one in answer["indicate"]]))

        async def indicate(link, values):
            for value in values:
                await device.indicate_subscriber(link, characteristic, value)

        characteristic = Characteristic(
            UUID(uuid),
            Characteristic.Properties.WRITE | Characteristic.Properties.INDICATE | Characteristic.Properties.READ,
            Characteristic.READABLE | Characteristic.WRITEABLE,
            CharacteristicValue(read=lambda _link: b"", write=write),
        )
        return characteristic

    async def ask(self, question):
        async with self.turn:
            self.writer.write(json.dumps(question).encode() + b"\n")
            return json.loads(await self.reader.readline())

    def begin(self, work):
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def main(path):
    air = Air()
    vhci = await open_vhci_transport(None)
    adapter = Adapter("adapter", vhci.source, vhci.sink, air, ADAPTER)

    async def come(reader, writer):
        await Peripheral(air, adapter, reader, writer).serve()

    # Its name appears once it can be connected to.
    server = await asyncio.start_unix_server(come, f"{path}.new")
    os.rename(f"{path}.new", path)
    await server.serve_forever()


asyncio.run(main(sys.argv[1]))
