// A node and its place on the air: security, faults of the radio, and a tally of what arrived.
// What a lock does is lock.mjs.

import { setTimeout as pass } from 'node:timers/promises'
import {
  Security2CC,
  Security2CCMessageEncapsulation,
  Security2CCNonceGet,
  Security2CCNonceReport,
  SecurityCC,
  SecurityCCCommandEncapsulation,
  SecurityCCNonceGet,
  SecurityCCNonceReport,
} from '@zwave-js/cc'
import { ZWaveProtocolCC } from '@zwave-js/cc/ZWaveProtocolCC'
import { CommandClasses as CC } from '@zwave-js/core'
import { MockZWaveFrameType, createMockZWaveAckFrame, createMockZWaveRequestFrame } from '@zwave-js/testing'
import { createDefaultMockNodeBehaviors } from 'zwave-js/Testing'

// On a busy machine the mock's own second is too short for an answer that does come.
export const PATIENCE = 60_000

const encapsulated = (cc) =>
  cc instanceof Security2CCMessageEncapsulation || cc instanceof SecurityCCCommandEncapsulation

// Frames that carry no command: nonces, keys, node information.
const isTransport = (cc) =>
  !encapsulated(cc) &&
  (cc instanceof Security2CC || cc instanceof SecurityCC || cc instanceof ZWaveProtocolCC)

export class Device {
  fault = { kind: 'none' }
  #counts = {}
  #receive
  #send
  #secure
  // One frame at a time, so that a report that the node makes by itself never takes the nonce of an answer.
  #turn = Promise.resolve()
  // The driver and this node share a nonce of Security 2; a driver that was started anew has none.
  #inStep = false
  #air

  /**
   * `air.heard()` says whether a driver listens, and `air.forget()` lets the controller forget what it
   * recorded; `behavior(cc)` answers an application command, or leaves it to the mock by answering
   * nothing; `kindOf(cc)` names it for the tally.
   */
  constructor(node, air, { behavior, kindOf }) {
    this.node = node
    this.#air = air
    this.#secure = node.implementedCCs.has(CC['Security 2'])
      ? 'S2'
      : node.implementedCCs.has(CC.Security)
        ? 'S0'
        : 'none'
    node.defineBehavior(...createDefaultMockNodeBehaviors())
    node.defineBehavior({
      handleCC: (controller, node, cc) => {
        if (isTransport(cc)) return undefined
        const kind = kindOf(cc) ?? 'other'
        this.#counts[kind] = (this.#counts[kind] ?? 0) + 1
        return behavior(cc)
      },
    })
    this.#receive = node.onControllerFrame.bind(node)
    this.#send = node.sendToController.bind(node)
    const expect = node.expectControllerFrame.bind(node)
    node.expectControllerFrame = (fits, options) => expect(fits, { ...options, timeout: PATIENCE })
    node.onControllerFrame = (frame) => {
      // The mock keeps every frame for assertions, and a run may be long.
      node.clearReceivedControllerFrames()
      node.clearSentControllerFrames()
      air.forget()
      return this.#arrived(frame)
    }
    node.sendToController = (frame) => this.#leaves(frame)
  }

  /** Frames that reached the node since the last reset, by kind. */
  get counts() {
    return { ...this.#counts }
  }

  resetCounts() {
    this.#counts = {}
  }

  /** The fault in force, if it is one of these; it has then struck once more. */
  strike(kinds) {
    const { fault } = this
    if (!kinds.includes(fault.kind)) return undefined
    if (fault.skip > 0) {
      fault.skip--
      return undefined
    }
    if (fault.count !== undefined && --fault.count === 0) this.fault = { kind: 'none' }
    return fault
  }

  /** A report that the node makes by itself. Done when it is on the air, or lost since nobody listens. */
  async say(cc) {
    if (!this.#air.heard()) return
    const frame = createMockZWaveRequestFrame(cc, { ackRequested: false })
    await this.#inTurn(() => this.node.sendToController(frame)).catch(() => {})
  }

  /**
   * What becomes of a frame for a node that hears nothing: no acknowledgement, after a while. Nothing if
   * the node hears. It must be asked before the frame is on the air, where the mock takes it apart and
   * counts it as received.
   */
  unheard(frame) {
    if (frame.type !== MockZWaveFrameType.Request) return undefined
    const dead = this.strike(['dead'])
    if (dead) this.#counts.unheard = (this.#counts.unheard ?? 0) + 1
    return dead && pass(dead.ms, createMockZWaveAckFrame({ ack: false }))
  }

  /** Whether the mesh brings this frame of the node a second time, byte for byte. */
  echoes(cc) {
    return !isTransport(cc) && this.strike(['duplicate']) !== undefined
  }

  /** Done when all that the node was about to do or to say is done. */
  async quiet() {
    for (let turn; turn !== this.#turn; await turn) turn = this.#turn
  }

  /** The driver is gone, or another is there: what was agreed is void, what was under way is off. */
  strangers() {
    this.#inStep = false
    for (const expectation of this.node.expectedControllerFrames.splice(0)) expectation.reject()
  }

  #inTurn(work) {
    const done = this.#turn.then(work)
    this.#turn = done.catch((error) => console.error(`node ${this.node.id}: ${error.message}`))
    return done
  }

  #arrived(frame) {
    if (frame.type !== MockZWaveFrameType.Request || isTransport(frame.payload)) return this.#receive(frame)
    if (frame.payload instanceof Security2CCMessageEncapsulation) this.#inStep = true
    return this.#inTurn(() => this.#receive(frame))
  }

  async #leaves(frame) {
    if (frame.type !== MockZWaveFrameType.Request) return this.#send(frame)
    if (this.fault.kind === 'dead') return
    if (isTransport(frame.payload)) return this.#send(frame)
    if (this.strike(['mute'])) return
    const late = this.strike(['slow', 'late'])
    if (late) await pass(late.ms)
    await this.#send(await this.#secured(frame))
  }

  // What a node supports only securely it says only securely; the mock does so for plain answers alone.
  async #secured(frame) {
    const cc = frame.payload
    if (encapsulated(cc) || !this.node.implementedCCs.get(cc.ccId)?.secure) return frame
    const { node } = this
    if (this.#secure === 'S2') {
      if (!this.#inStep)
        await this.#exchange(new Security2CCNonceGet({ nodeId: cc.nodeId }), Security2CCNonceReport)
      this.#inStep = true
      return { ...frame, payload: Security2CC.encapsulate(cc, node.id, node.securityManagers) }
    }
    const { nonce } = await this.#exchange(
      new SecurityCCNonceGet({ nodeId: cc.nodeId }),
      SecurityCCNonceReport,
    )
    const payload = SecurityCC.encapsulate(node.id, node.securityManagers.securityManager, cc)
    payload.nonce = nonce
    return { ...frame, payload }
  }

  async #exchange(get, Report) {
    const answer = this.node.expectControllerFrame((frame) => frame.payload instanceof Report)
    await this.#send(createMockZWaveRequestFrame(get, { ackRequested: false }))
    return (await answer).payload
  }
}
