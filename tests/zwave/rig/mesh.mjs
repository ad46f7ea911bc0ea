// The mocked controller behind a serial port, and the nodes that it reaches.

import { MockController, MockNode } from '@zwave-js/testing'
import { createDefaultMockControllerBehaviors } from 'zwave-js/Testing'
import { PATIENCE } from './device.mjs'
import { Lock } from './lock.mjs'
import { capabilities, network } from './nodes.mjs'

/** Puts the nodes on the air; answers them by id. */
export const mesh = async ({ serial, homeId, securityKeys, moreLocks, reportTimeout }) => {
  const controller = await MockController.create({ mockPort: serial, homeId, ownNodeId: 1, securityKeys })
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
  const sendToNode = controller.sendToNode.bind(controller)
  controller.sendToNode = (node, frame) => locks.get(node.id).unheard(frame) ?? sendToNode(node, frame)
  // What the last driver left half done is none of the next one's business.
  serial.onChange = () => {
    controller.state.clear()
    for (const ack of controller.expectedHostACKs.splice(0)) ack.resolve()
    for (const lock of locks.values()) lock.strangers()
  }
  return locks
}
