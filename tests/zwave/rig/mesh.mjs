// The mocked controller behind a serial port, and the nodes that it reaches.

import { setTimeout as pass } from 'node:timers/promises'
import { MockController, MockNode, MockZWaveFrameType } from '@zwave-js/testing'
import { FunctionType } from '@zwave-js/serial'
import {
  GetBackgroundRSSIRequest,
  GetBackgroundRSSIResponse,
  SendDataBridgeRequest,
  SendDataBridgeResponse,
  SendDataRequest,
  SendDataResponse,
} from '@zwave-js/serial/serialapi'
import { getDefaultSupportedFunctionTypes } from '@zwave-js/testing'
import { createDefaultMockControllerBehaviors } from 'zwave-js/Testing'
import { PATIENCE } from './device.mjs'
import { Lock } from './lock.mjs'
import { capabilities, network } from './nodes.mjs'

// What a frame takes that comes a second time, by another way through the mesh; in milliseconds.
const DETOUR = 20

// What the stick says by itself: how loud the air is, and that it cannot send to a node that holds it up.
const byTheStick = async (controller, locks, message) => {
  if (message instanceof GetBackgroundRSSIRequest) {
    await controller.sendMessageToHost(new GetBackgroundRSSIResponse({ rssiChannel0: -95, rssiChannel1: -97 }))
    return true
  }
  const Response =
    message instanceof SendDataRequest
      ? SendDataResponse
      : message instanceof SendDataBridgeRequest
        ? SendDataBridgeResponse
        : undefined
  if (!Response || !locks.get(message.getNodeId())?.stalls()) return false
  const refusal = new Response({ wasSent: false })
  // Not every kind of it writes down its own word.
  refusal.payload = Uint8Array.of(0)
  await controller.sendMessageToHost(refusal)
  return true
}

/** Puts the nodes on the air; answers them by id, and to whom frames were sent so far, in their order. */
export const mesh = async ({ serial, homeId, securityKeys, moreLocks, reportTimeout }) => {
  const supportedFunctionTypes = [...getDefaultSupportedFunctionTypes(), FunctionType.GetBackgroundRSSI]
  const controller = await MockController.create({
    mockPort: serial,
    homeId,
    ownNodeId: 1,
    securityKeys,
    capabilities: { supportedFunctionTypes },
  })
  controller.defineBehavior(...createDefaultMockControllerBehaviors())
  const expectHostACK = controller.expectHostACK.bind(controller)
  controller.expectHostACK = (_, why) => expectHostACK(PATIENCE, why)
  const expectNodeACK = controller.expectNodeACK.bind(controller)
  controller.expectNodeACK = (node, _, why) => expectNodeACK(node, PATIENCE, why)
  const air = {
    reportTimeout,
    heard: () => serial.open,
    // The mock keeps every message for assertions, and a run may be long.
    forget: () => controller.clearReceivedHostMessages(),
  }
  const locks = new Map()
  for (const [id, kind] of network(moreLocks)) {
    const node = await MockNode.create({ id, controller, capabilities: capabilities(kind) })
    controller.addNode(node)
    locks.set(id, new Lock(node, kind, air))
  }
  controller.defineBehavior({ onHostMessage: (_, message) => byTheStick(controller, locks, message) })
  const sendMessageToHost = controller.sendMessageToHost.bind(controller)
  const echoed = async (message, node) => {
    const serialize = message.serialize.bind(message)
    let bytes
    // Written down once, since it is encrypted anew each time.
    message.serialize = async (context) => (bytes = await serialize(context))
    await sendMessageToHost(message, node)
    if (!message.command || !locks.get(node.id).echoes(message.command)) return
    await pass(DETOUR)
    await controller.sendToHost(bytes)
  }
  // What a node says next comes after the echo.
  const said = new Map()
  controller.sendMessageToHost = (message, node) => {
    if (!node) return sendMessageToHost(message)
    const done = Promise.resolve(said.get(node.id)).then(() => echoed(message, node))
    said.set(
      node.id,
      done.catch(() => {}),
    )
    return done
  }
  const sent = []
  const sendToNode = controller.sendToNode.bind(controller)
  controller.sendToNode = (node, frame) => {
    if (frame.type === MockZWaveFrameType.Request) sent.push(node.id)
    return locks.get(node.id).unheard(frame) ?? sendToNode(node, frame)
  }
  // What the last driver left half done is none of the next one's business.
  serial.onChange = () => {
    controller.state.clear()
    for (const ack of controller.expectedHostACKs.splice(0)) ack.resolve()
    for (const lock of locks.values()) lock.strangers()
  }
  return { locks, sent }
}
