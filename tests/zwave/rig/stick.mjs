// The stick: a mocked controller behind a serial port over TCP, which can be pulled out.

import { createServer } from 'node:net'
import { once } from 'node:events'
import { MockController, MockNode } from '@zwave-js/testing'
import { createDefaultMockControllerBehaviors } from 'zwave-js/Testing'

const START_OF_FRAME = 0x01

// Cuts a stream of bytes into the serial frames that the mock wants one at a time.
class Cutter {
  #rest = Buffer.alloc(0)

  push(bytes) {
    const frames = []
    this.#rest = Buffer.concat([this.#rest, bytes])
    for (;;) {
      const long = this.#rest[0] === START_OF_FRAME
      const length = long ? this.#rest[1] + 2 : 1
      // NaN while the byte with the length is still to come.
      if (!(length <= this.#rest.length)) return frames
      frames.push(this.#rest.subarray(0, length))
      this.#rest = this.#rest.subarray(length)
    }
  }
}

export class Stick {
  /** Called when a driver opens the port. */
  onHost = () => {}
  #controller
  #feed
  #socket
  #server
  #port = 0

  static async create(homeId, securityKeys) {
    const stick = new Stick()
    const readable = new ReadableStream({ start: (feed) => (stick.#feed = feed) })
    stick.#controller = await MockController.create({
      mockPort: { readable, emitData: (data) => stick.#emit(data) },
      homeId,
      ownNodeId: 1,
      securityKeys,
    })
    stick.#controller.defineBehavior(...createDefaultMockControllerBehaviors())
    return stick
  }

  async add(id, capabilities) {
    const node = await MockNode.create({ id, controller: this.#controller, capabilities })
    this.#controller.addNode(node)
    return node
  }

  get path() {
    return `tcp://127.0.0.1:${this.#port}`
  }

  get plugged() {
    return this.#server !== undefined
  }

  async plug() {
    if (this.plugged) return
    this.#server = createServer((socket) => this.#connected(socket))
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = this.#server.address().port
  }

  async unplug() {
    if (!this.plugged) return
    const server = this.#server
    this.#server = undefined
    server.close()
    this.#socket?.destroy()
    await once(server, 'close')
  }

  // The mock keeps every message for assertions, and a run may be long.
  forget() {
    this.#controller.clearReceivedHostMessages()
  }

  #connected(socket) {
    this.#socket?.destroy()
    this.#socket = socket
    socket.setNoDelay()
    // What the last driver left half done is none of this one's business.
    this.#controller.state.clear()
    this.#dropExpectations()
    this.onHost()
    const cutter = new Cutter()
    socket.on('data', (bytes) => {
      for (const frame of cutter.push(bytes)) this.#feed.enqueue(new Uint8Array(frame))
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (this.#socket !== socket) return
      this.#socket = undefined
      this.#dropExpectations()
    })
  }

  #emit(data) {
    if (this.#socket) this.#socket.write(data)
    // Nobody is there to acknowledge, so nobody waits for it.
    else queueMicrotask(() => this.#dropExpectations())
  }

  #dropExpectations() {
    for (const ack of this.#controller.expectedHostACKs.splice(0)) ack.resolve()
  }
}
