// What stands on the network: the kinds of node, and which id is which. Data only.

import { UserCredentialType } from '@zwave-js/cc'
import { CommandClasses as CC, SecurityClass } from '@zwave-js/core'

const plain = {}
const s0 = { classes: [SecurityClass.S0_Legacy], layer: CC.Security }
const s2 = { classes: [SecurityClass.S2_AccessControl], layer: CC['Security 2'] }

// `codes` says how the lock keeps codes:
//   cc, version   User Code or User Credential
//   slots         how many it has
//   lengths       the lengths that it really takes, whatever the driver believes
//   masked        reads show asterisks for digits
//   tells         it reports changes and refused duplicates by notification, as some locks do
const userCode1 = { cc: CC['User Code'], version: 1, slots: 20, lengths: [4, 5, 6, 7, 8] }
const userCode2 = { ...userCode1, version: 2, slots: 30, tells: true }
const userCredential = { cc: CC['User Credential'], version: 1, slots: 30, lengths: [4, 5, 6, 7, 8] }

const modern = { security: s2, supervision: true, lock: true, codes: userCode2 }

export const network = (moreLocks) => {
  const nodes = new Map([
    [
      2,
      {
        name: 'Front door',
        location: 'Hall',
        security: s0,
        lock: true,
        codes: { ...userCode1, lengths: [4] },
      },
    ],
    [
      3,
      {
        name: 'Back door',
        location: 'Yard',
        security: s2,
        lock: true,
        codes: { ...userCode1, masked: true },
      },
    ],
    [4, { name: 'Cellar', security: s2, lock: true, codes: userCode2 }],
    [5, { name: 'Office', security: s2, supervision: true, lock: true, codes: userCredential }],
    [6, { name: 'Suite', location: 'First floor', ...modern }],
    [7, { name: 'Gate', security: s2, supervision: true, lock: true }],
    [8, { security: plain, lock: true, codes: userCode1 }],
    [9, { name: 'Lamp', security: plain, lock: false }],
  ])
  for (let id = 10; id < 10 + moreLocks; id++) nodes.set(id, { name: `Room ${id}`, ...modern })
  return nodes
}

const OPERATIONS = [1, 2, 3, 4, 5, 6, 9, 11, 12, 13, 14, 15, 16]
const ENTRY_CONTROL = { genericDeviceClass: 0x40, specificDeviceClass: 0x03 }
const BINARY_SWITCH = { genericDeviceClass: 0x10, specificDeviceClass: 0x01 }

const codesOf = ({ cc, version, slots, lengths }) => ({
  ccId: cc,
  version,
  ...(cc === CC['User Code']
    ? { numUsers: slots, supportsAdminCode: false, supportsAdminCodeDeactivation: false }
    : {
        numberOfSupportedUsers: slots,
        supportsAdminCode: false,
        supportsAdminCodeDeactivation: false,
        supportedCredentialTypes: new Map([
          [
            UserCredentialType.PINCode,
            {
              numberOfCredentialSlots: slots,
              minCredentialLength: Math.min(...lengths),
              maxCredentialLength: Math.max(...lengths),
              maxCredentialHashLength: 0,
              supportsCredentialLearn: false,
            },
          ],
        ]),
      }),
})

/** The mock's description of a node of this kind. */
export const capabilities = ({ name = '', location = '', security, supervision, lock, codes }) => {
  const secure = security !== plain
  const ours = lock
    ? [
        {
          ccId: CC['Door Lock'],
          version: 4,
          doorSupported: true,
          boltSupported: true,
          latchSupported: false,
        },
        {
          ccId: CC.Notification,
          version: 5,
          supportsV1Alarm: false,
          notificationTypesAndEvents: { 6: OPERATIONS, 7: [3, 4] },
        },
        { ccId: CC.Battery, version: 1 },
        ...(codes ? [codesOf(codes)] : []),
      ]
    : [{ ccId: CC['Binary Switch'], version: 1, defaultValue: false }]
  return {
    ...(lock ? ENTRY_CONTROL : BINARY_SWITCH),
    isListening: !lock,
    isFrequentListening: lock && '1000ms',
    supportsSecurity: secure,
    securityClasses: new Set(security.classes),
    // No node waits for its turn on the air.
    txDelay: 0,
    commandClasses: [
      { ccId: CC['Z-Wave Plus Info'], version: 2 },
      { ccId: CC['Manufacturer Specific'], version: 1 },
      { ccId: CC.Version, version: 2 },
      ...(secure ? [{ ccId: security.layer, version: 1 }] : []),
      ...(supervision ? [{ ccId: CC.Supervision, version: 1 }] : []),
      ...(name ? [{ ccId: CC['Node Naming and Location'], version: 1, name, location }] : []),
      ...ours.map((each) => ({ ...each, secure })),
    ],
  }
}
