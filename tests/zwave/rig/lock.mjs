// What a lock does: its codes, its bolt, its keypad and its battery.

import {
  BatteryCCGet,
  BatteryCCReport,
  DoorLockCCOperationGet,
  DoorLockCCOperationReport,
  DoorLockCCOperationSet,
  DoorLockMode,
  NotificationCCGet,
  NotificationCCReport,
  UserCodeCommand,
  UserIDStatus,
} from '@zwave-js/cc'
import { CommandClasses as CC } from '@zwave-js/core'
import { createDefaultMockNodeBehaviors } from 'zwave-js/Testing'
import { Credentials, DONE, REFUSED, UserCodes } from './codes.mjs'
import { Device } from './device.mjs'
import { Mistake } from './mistake.mjs'

const ACCESS_CONTROL = 6
const HOME_SECURITY = 7

// Access Control, by what happens.
const EVENT = {
  manual_lock: 1,
  manual_unlock: 2,
  rf_lock: 3,
  rf_unlock: 4,
  keypad_lock: 5,
  keypad_unlock: 6,
  auto_lock: 9,
  jam: 11,
  all_codes_deleted: 12,
  code_deleted: 13,
  code_added: 14,
  code_not_added: 15,
  keypad_off: 16,
}
const TAMPER = { cover: 3, wrong_code: 4 }

const RADIO_FAULTS = ['dead', 'stalled', 'mute', 'slow', 'late', 'duplicate']
const CLEAR_FAULTS = ['refuse', 'ignore']
const SET_FAULTS = [...CLEAR_FAULTS, 'corrupt', 'drop_after']

// The same length, another code.
const corrupted = (code) => code.slice(0, -1) + ((Number(code.at(-1)) + 1) % 10)

const insist = (holds, why) => {
  if (!holds) throw new Mistake(why)
}

export class Lock {
  #device
  #codes
  #kind
  #battery = 100
  #jammed = false
  // What the faults of the radio take, in milliseconds.
  #times
  // Codes that will be lost, by slot: how many more reads still show them.
  #fading = new Map()

  constructor(node, kind, air) {
    this.#kind = kind
    this.#times = { dead: 1000, slow: 500, late: air.reportTimeout + 500 }
    const stock = createDefaultMockNodeBehaviors()
    const byTheMock = async (cc) => {
      for (const behavior of stock) {
        const answer = await behavior.handleCC?.(node.controller, node, cc)
        if (answer) return answer
      }
      return undefined
    }
    if (kind.codes?.cc === CC['User Code']) this.#codes = new UserCodes(node, kind.codes)
    if (kind.codes?.cc === CC['User Credential']) this.#codes = new Credentials(node, kind.codes, byTheMock)
    this.#device = new Device(node, air, {
      behavior: (cc) => this.#answer(cc),
      kindOf: (cc) => this.#kindOf(cc),
    })
    if (kind.lock) this.#move(DoorLockMode.Secured)
  }

  unheard(frame) {
    return this.#device.unheard(frame)
  }

  /** Whether the mesh brings what it says twice. */
  echoes(cc) {
    return this.#device.echoes(cc)
  }

  /** Whether the stick refuses to send to it. */
  stalls() {
    return this.#device.strike(['stalled']) !== undefined
  }

  strangers() {
    this.#device.strangers()
  }

  // Control.

  codes() {
    insist(this.#codes, 'this node has no codes')
    return this.#codes.list()
  }

  /** Done when it has said all that it was about to say. */
  quiet() {
    return this.#device.quiet()
  }

  state() {
    const mode = this.#node.state.get('DoorLock_currentMode')
    return {
      locked: this.#kind.lock ? mode === DoorLockMode.Secured : undefined,
      jammed: this.#jammed,
      battery: this.#battery,
      fault: this.#device.fault.kind,
    }
  }

  frames() {
    return this.#device.counts
  }

  resetFrames() {
    this.#device.resetCounts()
  }

  setFault({ kind, count, skip = 0, ms, reads = 1 }) {
    const known = ['none', ...RADIO_FAULTS, ...SET_FAULTS]
    insist(known.includes(kind), `fault kinds: ${known.join(', ')}`)
    insist(
      count === undefined || (Number.isInteger(count) && count > 0),
      'count: a whole number from 1, or none for ever',
    )
    this.#device.fault = { kind, count, skip, ms: ms ?? this.#times[kind], reads }
  }

  /** Someone changes a code at the lock itself. */
  async changeCode({ op, slot, code, status, notify = true }) {
    insist(this.#codes, 'this node has no codes')
    const held = this.#codes.holds(slot)
    insist(Number.isInteger(slot) && slot > 0 && slot <= this.#kind.codes.slots, 'slot: a slot of this lock')
    insist(['add', 'change', 'remove'].includes(op), 'op: add, change or remove')
    insist(op === 'add' ? !held : held, `slot ${slot} is ${held ? 'in use' : 'empty'}`)
    if (op === 'remove') this.#codes.remove(slot)
    else {
      insist(
        typeof code === 'string' && this.#kind.codes.lengths.includes(code.length),
        'code: a length this lock takes',
      )
      insist(!this.#codes.duplicate(slot, code), 'code: another slot has it')
      const statuses = [undefined, UserIDStatus.Enabled, UserIDStatus.Disabled]
      insist(statuses.includes(status), 'status: 1 enabled, 2 disabled')
      this.#codes.put(slot, code, status)
    }
    this.#fading.delete(slot)
    if (!notify) return
    for (const cc of this.#codes.reports(held, this.#codes.holds(slot))) await this.#device.say(cc)
    await this.#tell(op === 'remove' ? EVENT.code_deleted : EVENT.code_added, slot)
  }

  /** Everything is taken out of the lock by hand, users without a code too. */
  async clear() {
    insist(this.#codes, 'this node has no codes')
    for (const { slot } of this.#codes.list()) await this.changeCode({ op: 'remove', slot })
    this.#codes.clear()
  }

  /** Someone stands at the door. Answers whether it opened or closed. */
  async keypad({ event = 'unlock', code, userId }) {
    insist(this.#kind.lock, 'this node is no lock')
    switch (event) {
      case 'unlock':
      case 'lock': {
        const slot =
          userId ??
          this.#codes?.list().find((row) => row.code === code && row.status === UserIDStatus.Enabled)?.slot
        if (slot === undefined) {
          await this.#tamper(TAMPER.wrong_code)
          return { opened: false }
        }
        await this.#moved(
          event === 'unlock',
          event === 'unlock' ? EVENT.keypad_unlock : EVENT.keypad_lock,
          slot,
        )
        return { opened: event === 'unlock' }
      }
      case 'manual_unlock':
      case 'manual_lock':
      case 'auto_lock':
        await this.#moved(event === 'manual_unlock', EVENT[event])
        return { opened: event === 'manual_unlock' }
      case 'jam':
        this.#jammed = true
        await this.#tell(EVENT.jam)
        return { opened: false }
      case 'keypad_off':
        await this.#tell(EVENT.keypad_off)
        return { opened: false }
      case 'tamper':
        await this.#tamper(TAMPER.cover)
        return { opened: false }
      default:
        throw new Mistake(
          'event: unlock, lock, manual_unlock, manual_lock, auto_lock, jam, keypad_off or tamper',
        )
    }
  }

  /** The battery's level in percent; `low` sends the report that says only that. */
  async battery({ level = this.#battery, low = false }) {
    insist(this.#kind.lock, 'this node has no battery')
    insist(Number.isInteger(level) && level >= 0 && level <= 100, 'level: 0 to 100')
    this.#battery = level
    await this.#device.say(this.#batteryReport(low ? 0xff : level))
  }

  // What the driver asks and says.

  #kindOf(cc) {
    if (cc instanceof DoorLockCCOperationSet) return 'bolt_sets'
    if (cc instanceof DoorLockCCOperationGet) return 'bolt_gets'
    if (cc.ccId === CC['No Operation']) return 'pings'
    return this.#codes?.kindOf(cc)
  }

  #answer(cc) {
    if (this.#codes?.changeOf(cc)) return this.#write(cc)
    if (this.#codes?.asks(cc) !== undefined) return this.#read(cc)
    if (cc instanceof DoorLockCCOperationGet) return { action: 'sendCC', cc: this.#boltReport() }
    if (cc instanceof DoorLockCCOperationSet) return this.#drive(cc.mode === DoorLockMode.Unsecured)
    if (cc instanceof BatteryCCGet) return { action: 'sendCC', cc: this.#batteryReport(this.#battery) }
    if (cc instanceof NotificationCCGet)
      return { action: 'sendCC', cc: this.#notification(cc.notificationType, 0) }
    return undefined
  }

  async #write(cc) {
    const codes = this.#codes
    const set = codes.changeOf(cc) === 'set'
    const fault = this.#device.strike(set ? SET_FAULTS : CLEAR_FAULTS)
    const before = codes.list()
    const snapshot = codes.snapshot()
    const answer = await (fault?.kind === 'refuse' ? codes.refuse(cc) : codes.apply(cc))
    const after = codes.list()
    const changed = after.filter(
      (row) => !before.some((old) => old.slot === row.slot && old.code === row.code),
    )
    const gone = before.filter((old) => !after.some((row) => row.slot === old.slot))
    for (const { slot } of [...changed, ...gone]) this.#fading.delete(slot)
    if (this.#kind.codes.tells) {
      const slot = codes.slotOf(cc)
      if (slot === 0) this.#later(EVENT.all_codes_deleted)
      else if (answer.action === 'fail') set && this.#later(EVENT.code_not_added, slot)
      else this.#later(set ? EVENT.code_added : EVENT.code_deleted, slot)
    }
    switch (fault?.kind) {
      case 'ignore':
        codes.restore(snapshot)
        break
      case 'corrupt':
        for (const { slot, code, status } of changed) codes.put(slot, corrupted(code), status)
        break
      case 'drop_after':
        for (const { slot } of changed) this.#fading.set(slot, fault.reads)
        break
    }
    return answer
  }

  #read(cc) {
    const slot = this.#codes.asks(cc)
    const reads = this.#fading.get(slot)
    if (reads === 0) {
      this.#codes.remove(slot)
      this.#fading.delete(slot)
    } else if (reads) this.#fading.set(slot, reads - 1)
    return this.#codes.read(cc)
  }

  #drive(open) {
    switch (this.#device.strike(CLEAR_FAULTS)?.kind) {
      case 'refuse':
        return REFUSED
      case 'ignore':
        return DONE
    }
    this.#move(open ? DoorLockMode.Unsecured : DoorLockMode.Secured)
    // No report of the bolt: it would meet the driver's own question for it on the air, and the mocked stick then
    // loses the question, and with it the lock's place in the encryption.
    this.#later(open ? EVENT.rf_unlock : EVENT.rf_lock)
    return DONE
  }

  // What it tells.

  get #node() {
    return this.#device.node
  }

  #move(mode) {
    this.#node.state.set('DoorLock_currentMode', mode)
    this.#jammed = false
  }

  async #moved(open, event, slot) {
    this.#move(open ? DoorLockMode.Unsecured : DoorLockMode.Secured)
    await this.#device.say(this.#boltReport())
    await this.#tell(event, slot)
  }

  // After the answer to the command that caused it.
  #afterwards(cc) {
    setImmediate(() => this.#device.say(cc))
  }

  #later(event, slot) {
    this.#afterwards(this.#notification(ACCESS_CONTROL, event, slot))
  }

  #tell(event, slot) {
    return this.#device.say(this.#notification(ACCESS_CONTROL, event, slot))
  }

  #tamper(event) {
    return this.#device.say(this.#notification(HOME_SECURITY, event))
  }

  #notification(notificationType, notificationEvent, slot) {
    return new NotificationCCReport({
      nodeId: this.#node.controller.ownNodeId,
      notificationType,
      notificationEvent,
      eventParameters: slot === undefined ? undefined : this.#who(slot),
    })
  }

  // Old locks send the bare number of the slot, newer ones a User Code report with the digits masked.
  #who(slot) {
    if (this.#kind.codes?.version !== 2) return Uint8Array.of(slot)
    return Uint8Array.of(
      CC['User Code'],
      UserCodeCommand.Report,
      slot,
      UserIDStatus.Enabled,
      ...Buffer.from('****'),
    )
  }

  #boltReport() {
    const locked = this.#node.state.get('DoorLock_currentMode') === DoorLockMode.Secured
    const mode = locked ? DoorLockMode.Secured : DoorLockMode.Unsecured
    return new DoorLockCCOperationReport({
      nodeId: this.#node.controller.ownNodeId,
      currentMode: mode,
      targetMode: mode,
      outsideHandlesCanOpenDoor: [false, false, false, false],
      insideHandlesCanOpenDoor: [false, false, false, false],
      doorStatus: 'closed',
      boltStatus: locked ? 'locked' : 'unlocked',
    })
  }

  #batteryReport(level) {
    return new BatteryCCReport({ nodeId: this.#node.controller.ownNodeId, level })
  }
}
