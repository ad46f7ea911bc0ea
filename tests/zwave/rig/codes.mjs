// The two ways in which a lock keeps codes, behind one shape:
//
//   list()          the true table, in order of slots
//   put, remove     change it by hand
//   clear()         leaves nothing, as the factory did
//   changeOf(cc)    'set' or 'clear' if this command changes codes
//   apply(cc)       does what the command says, by the lock's rules; answers as a mock's behaviour does
//   refuse(cc)      answers as a lock does that will not
//   snapshot, restore

import {
  UserCredentialCredentialReportType as ReportType,
  UserCredentialModifierType as Modifier,
  UserCredentialNameEncoding,
  UserCredentialOperationType as Operation,
  UserCredentialRule,
  UserCredentialType,
  UserCredentialUserType,
  UserIDStatus as Status,
} from '@zwave-js/cc'
import {
  UserCodeCCExtendedUserCodeSet,
  UserCodeCCGet,
  UserCodeCCReport,
  UserCodeCCSet,
} from '@zwave-js/cc/UserCodeCC'
import {
  UserCredentialCCCredentialGet,
  UserCredentialCCCredentialReport,
  UserCredentialCCCredentialSet,
  UserCredentialCCUserSet,
} from '@zwave-js/cc/UserCredentialCC'
import { createMockZWaveRequestFrame } from '@zwave-js/testing'

export const DONE = { action: 'ok' }
export const REFUSED = { action: 'fail' }

const text = (code) => (typeof code === 'string' ? code : Buffer.from(code ?? []).toString('latin1'))

class Table {
  #prefix

  constructor(node, kind, prefix) {
    this.node = node
    this.kind = kind
    this.#prefix = prefix
  }

  // The mock answers reads from here, so this is the only table there is.
  #keys() {
    return [...this.node.state.keys()].filter((key) => key.startsWith(this.#prefix))
  }

  snapshot() {
    return this.#keys().map((key) => [key, this.node.state.get(key)])
  }

  /** Forgets every code, and every user, with a code or without. */
  clear() {
    for (const key of this.#keys()) this.node.state.delete(key)
  }

  restore(snapshot) {
    this.clear()
    for (const [key, value] of snapshot) this.node.state.set(key, value)
  }

  holds(slot) {
    return this.list().find((row) => row.slot === slot)
  }

  /** Whether another slot has this code. */
  duplicate(slot, code) {
    return this.list().some((row) => row.slot !== slot && row.code === code)
  }
}

/** User Code, version 1 or 2: a status and a code for each slot. */
export class UserCodes extends Table {
  constructor(node, kind) {
    super(node, kind, 'UserCode_user')
  }

  list() {
    const { state } = this.node
    const rows = []
    for (let slot = 1; slot <= this.kind.slots; slot++) {
      const status = state.get(`UserCode_userIdStatus_${slot}`) ?? Status.Available
      if (status !== Status.Available)
        rows.push({ slot, code: state.get(`UserCode_userCode_${slot}`), status })
    }
    return rows
  }

  put(slot, code, status = Status.Enabled) {
    this.node.state.set(`UserCode_userIdStatus_${slot}`, status)
    this.node.state.set(`UserCode_userCode_${slot}`, code)
  }

  remove(slot) {
    this.node.state.delete(`UserCode_userIdStatus_${slot}`)
    this.node.state.delete(`UserCode_userCode_${slot}`)
  }

  kindOf(cc) {
    if (cc instanceof UserCodeCCGet) return 'gets'
    const [change] = this.#changes(cc)
    if (!change) return undefined
    if (change.userIdStatus !== Status.Available) return 'sets'
    return change.userId === 0 ? 'clear_alls' : 'clears'
  }

  changeOf(cc) {
    return { sets: 'set', clears: 'clear', clear_alls: 'clear' }[this.kindOf(cc)]
  }

  apply(cc) {
    return this.#changes(cc).every((change) => this.#change(change)) ? DONE : REFUSED
  }

  refuse() {
    return REFUSED
  }

  /** Which slot a command asks about. */
  asks(cc) {
    return cc instanceof UserCodeCCGet ? cc.userId : undefined
  }

  /** Which slot a command changes, for the locks that tell; 0 is all of them. */
  slotOf(cc) {
    return this.#changes(cc)[0].userId
  }

  // A lock that masks says that a slot is in use, and shows asterisks.
  read(cc) {
    const row = this.kind.masked && cc instanceof UserCodeCCGet && this.holds(cc.userId)
    if (!row) return undefined
    return {
      action: 'sendCC',
      cc: new UserCodeCCReport({
        nodeId: this.node.controller.ownNodeId,
        userId: row.slot,
        userIdStatus: row.status,
        userCode: '**********',
      }),
    }
  }

  /** What the lock says besides a notification when a code changes at the keypad: nothing. */
  reports() {
    return []
  }

  #changes(cc) {
    if (cc instanceof UserCodeCCSet) return [cc]
    return cc instanceof UserCodeCCExtendedUserCodeSet ? cc.userCodes : []
  }

  #change({ userId: slot, userIdStatus: status, userCode }) {
    if (slot > this.kind.slots) return false
    if (status === Status.Available) {
      for (const row of this.list()) if (slot === 0 || row.slot === slot) this.remove(row.slot)
      return true
    }
    const code = text(userCode)
    if (!this.kind.lengths.includes(code.length) || this.duplicate(slot, code)) return false
    this.put(slot, code, status)
    return true
  }
}

/** User Credential: users, of whom each may own codes. The mock knows the rules. */
export class Credentials extends Table {
  #stock

  constructor(node, kind, stock) {
    super(node, kind, 'UserCredential_')
    this.#stock = stock
  }

  list() {
    const { state } = this.node
    const rows = []
    for (let slot = 1; slot <= this.kind.slots; slot++) {
      const held = state.get(`UserCredential_cred_${UserCredentialType.PINCode}_${slot}`)
      if (!held) continue
      const user = state.get(`UserCredential_user_${held.userId}`)
      const status = user?.active ? Status.Enabled : Status.Disabled
      rows.push({ slot, code: text(held.credentialData), status, user: held.userId, name: user?.userName })
    }
    return rows
  }

  put(slot, code, status = Status.Enabled) {
    const by = { modifierType: Modifier.Locally, modifierNodeId: 0 }
    const held = this.node.state.get(`UserCredential_cred_${UserCredentialType.PINCode}_${slot}`)
    const userId = held?.userId ?? slot
    if (!this.node.state.has(`UserCredential_user_${userId}`)) {
      this.node.state.set(`UserCredential_user_${userId}`, {
        userType: UserCredentialUserType.General,
        active: true,
        credentialRule: UserCredentialRule.Single,
        expiringTimeoutMinutes: 0,
        nameEncoding: UserCredentialNameEncoding.ASCII,
        userName: `User-${userId}`,
        ...by,
      })
    }
    this.node.state.get(`UserCredential_user_${userId}`).active = status !== Status.Disabled
    this.node.state.set(`UserCredential_cred_${UserCredentialType.PINCode}_${slot}`, {
      userId,
      credentialData: Buffer.from(code, 'latin1'),
      ...by,
    })
  }

  // The user goes with the last code it had.
  remove(slot) {
    const { user } = this.holds(slot)
    this.node.state.delete(`UserCredential_cred_${UserCredentialType.PINCode}_${slot}`)
    if (!this.list().some((row) => row.user === user)) this.node.state.delete(`UserCredential_user_${user}`)
  }

  kindOf(cc) {
    if (cc instanceof UserCredentialCCCredentialGet) return 'gets'
    if (cc instanceof UserCredentialCCCredentialSet) {
      if (cc.operationType !== Operation.Delete) return 'sets'
      return cc.credentialSlot === 0 ? 'clear_alls' : 'clears'
    }
    if (cc instanceof UserCredentialCCUserSet) {
      if (cc.operationType !== Operation.Delete) return 'user_sets'
      return cc.userId === 0 ? 'clear_alls' : 'user_clears'
    }
    return undefined
  }

  changeOf(cc) {
    return { sets: 'set', clears: 'clear', user_clears: 'clear', clear_alls: 'clear' }[this.kindOf(cc)]
  }

  apply(cc) {
    return this.#stock(cc)
  }

  async refuse(cc) {
    if (cc instanceof UserCredentialCCCredentialSet) {
      const held = this.holds(cc.credentialSlot)
      await this.node.sendToController(
        createMockZWaveRequestFrame(
          this.#report(
            ReportType.ManufacturerSecurityRules,
            cc.userId,
            cc.credentialSlot,
            held?.code ?? '',
            Modifier.ZWave,
          ),
          { ackRequested: false },
        ),
      )
    }
    return REFUSED
  }

  asks(cc) {
    return cc instanceof UserCredentialCCCredentialGet ? cc.credentialSlot : undefined
  }

  read() {
    return undefined
  }

  reports(before, after) {
    const type = !before
      ? ReportType.CredentialAdded
      : after
        ? ReportType.CredentialModified
        : ReportType.CredentialDeleted
    const { user, slot } = after ?? before
    return [this.#report(type, user, slot, after?.code ?? '', Modifier.Locally)]
  }

  #report(reportType, userId, credentialSlot, code, modifierType) {
    return new UserCredentialCCCredentialReport({
      nodeId: this.node.controller.ownNodeId,
      reportType,
      userId,
      credentialType: UserCredentialType.PINCode,
      credentialSlot,
      credentialReadBack: true,
      credentialData: Buffer.from(code, 'latin1'),
      modifierType,
      modifierNodeId: modifierType === Modifier.ZWave ? this.node.controller.ownNodeId : 0,
    })
  }
}
