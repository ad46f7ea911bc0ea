// What the gateway's words mean to people.

import { count, happened, near, now, planned } from './kit.js'

// Why something waits.
const REASONS = {
  in_line: 'its turn comes',
  not_due: 'its time has not come',
  device_silent: 'the lock does not answer',
  radio_away: 'what speaks to the lock cannot be reached',
  waiting_for_slot: 'the lock has no free place yet',
  no_space_for_access_code_on_device: 'the lock says that it is full',
  duplicate_code_on_device: 'the lock holds this PIN already',
  slot_taken: "somebody else's code stands in its place",
  credential_refused: "the lock does not accept the gateway's key",
  device_unsecured: 'the lock was joined without encryption',
  refused_by_device: 'the lock says no',
  not_stored_by_device: 'the lock said yes and did not do it',
  not_kept: 'the lock does not keep it',
  gone_since_export: 'the lock lost it since the export',
}

const reason = (word) => REASONS[word] ?? word.replaceAll('_', ' ')

const nextTry = (at) => {
  if (!at) return 'tried when another code is taken off'
  return new Date(at) > now() ? `next try ${happened(at)}, ${near(at)}` : 'being tried now'
}

export const isPast = ({ ends_at: until }) => Boolean(until) && new Date(until) <= now()
// Its time is past, and its lock holds it no more.
export const isOver = (one) => isPast(one) && !one.proven && !one.waiting

// What a badge says. Whether somebody is needed is the gateway's word.
export const urged = (problem, kind, word) => (problem ? { kind: 'bad', word: `Needs you: ${word.toLowerCase()}` } : { kind, word })

// How it is with one code on its lock: a kind and a word for the badge, a sentence, and what helps.
export const state = (one) => {
  const told = plain(one)
  return { ...told, ...urged(one.problem, told.kind, told.word) }
}

const plain = (one) => {
  const { status, problem, proven, waiting, hint, removed, still_on_lock: old } = one
  if (isOver(one)) {
    return { kind: 'later', word: 'Over', sentence: removed ? `Gone from the lock since ${happened(removed.at)}.` : 'It has ended.' }
  }
  if (waiting?.reason === 'not_due') {
    const why = problem ? ' The lock does not answer.' : ''
    return { kind: 'later', word: 'Not due yet', sentence: `Goes onto the lock ${planned(waiting.next_try)}.${why}` }
  }
  if (waiting) {
    const what = waiting.aim === 'remove' ? 'taken off' : proven || old ? 'updated' : 'set'
    const tries = waiting.tries ? `${count(waiting.tries, 'try', 'tries')} since ${happened(waiting.since)}` : 'not tried yet'
    const sentence = [
      `Waits to be ${what}: ${reason(waiting.reason)}; ${tries}, ${nextTry(waiting.next_try)}.`,
      old && `Until then the lock goes by the old times: ${times(old)}.`,
    ]
    const word = waiting.aim === 'remove' ? 'Being taken off' : 'Waiting'
    return { kind: 'wait', word, sentence: sentence.filter(Boolean).join(' '), hint }
  }
  if (status === 'removing') return { kind: 'wait', word: 'Being taken off', sentence: 'The lock has not confirmed yet.', hint }
  if (proven) {
    const how =
      proven.how === 'read_back'
        ? `Read back from the lock at ${happened(proven.at)}.`
        : `The lock acknowledged it at ${happened(proven.at)}; it does not show its codes.`
    return { kind: 'good', word: 'Proven', sentence: how, hint }
  }
  return { kind: 'later', word: 'Not on the lock', sentence: 'Nothing is to be done now.', hint }
}

export const waiting = (pending) => (pending ? count(pending, 'code waits', 'codes wait') : 'Nothing waits')

// What a door waits for, in a sentence.
export const waits = ({ pending, reason: word, next_try: at }) =>
  pending
    ? `${waiting(pending)}: ${word ? reason(word) : 'their turn comes'}; ${nextTry(at)}.`
    : `${waiting(0)}.`

export const times = ({ starts_at: from, ends_at: until }) =>
  from && until ? `${planned(from)} – ${planned(until)}` : 'ongoing, without an end'

// How loud a lock is, as far as its radio says.
export const signal = (rssi) =>
  rssi == null ? null : `Signal ${rssi >= -67 ? 'good' : rssi >= -80 ? 'fair' : 'weak'} (${rssi} dBm)`

export const battery = (percent) => (percent == null ? null : `Battery ${percent} %`)

const METHODS = { keycode: 'with a PIN', manual: 'by hand', automatic: 'by itself', remote: 'by radio' }

// By their words without the first: whose extension it is, and that it is about an access code.
const EVENTS = {
  created: 'Access code made',
  changed: 'Access code changed',
  mutations_requested: 'A change is to be carried out',
  scheduled_on_device: 'Proven on the lock, opens in time',
  set_on_device: 'Proven on the lock',
  name_changed: 'The lock took the new name',
  code_changed: 'The lock took the new PIN',
  time_frame_changed: 'The lock took the new times',
  delay_in_setting_on_device: 'Late: not on the lock yet',
  failed_to_set_on_device: 'The lock did not take it',
  removed_from_device: 'Proven gone from the lock',
  delay_in_removing_from_device: 'Late: not off the lock yet',
  failed_to_remove_from_device: 'The lock did not let go of it',
  deleted: 'Deleted, and gone from the lock',
  deleted_external_to_seam: 'Somebody deleted it at the lock',
  modified_external_to_seam: 'Somebody changed it at the lock',
  'unmanaged.created': 'Somebody added a code at the lock',
  'unmanaged.removed': 'A code of somebody else is gone from the lock',
  revealed: 'PIN shown',
  suspect: 'A code on the lock that may be ours',
  'device.added': 'Door added',
  'device.connected': 'Answers again',
  'device.disconnected': 'Does not answer',
  'device.removed': 'Door left this gateway',
  'device.tampered': 'Somebody tampers with the lock',
  'device.low_battery': 'Battery low',
  'lock.locked': 'Locked',
  'lock.unlocked': 'Unlocked',
  'lock.access_denied': 'A wrong PIN was typed',
  'lock.jammed': 'The bolt is jammed',
  'radio.away': 'A radio cannot be reached',
  'radio.back': 'The radio is back',
  'job.accepted': 'Job accepted',
  'job.done': 'Job done',
  restarted: 'The gateway started',
  restored: 'The gateway was restored from an export',
  'clock.trusted': 'The clock counts again',
  'clock.untrusted': 'Nothing vouches for the clock',
  'clock.wild': 'The clock jumped',
  events_lost: 'Older events are kept no more',
}

export const event = (happening) => {
  const words = EVENTS[happening.event_type.replace(/^(lockbridge\.)?(access_code\.)?/, '')] ?? happening.event_type.replaceAll(/[._]/g, ' ')
  return happening.method ? `${words} ${METHODS[happening.method] ?? happening.method}` : words
}

const BAD = /failed|delay|denied|tampered|jammed|disconnected|low_battery|away|untrusted|wild|external|suspect|lost/
export const alarming = ({ event_type: type }) => BAD.test(type)

const STATUS = { set: ['good', 'On the lock'], setting: ['wait', 'Being set'], unset: ['later', 'Not due yet'], removing: ['wait', 'Being taken off'] }
export const status = (word) => STATUS[word] ?? ['later', word]

// The trust in the gateway's clock, where it is not whole.
export const clock = ({ trust }) =>
  ({
    untrusted: 'Nothing vouches for the gateway’s clock: codes are set and taken off by the time that has certainly come. Have its clock synchronised.',
    wild: 'The gateway’s clock jumped, and does not count yet. If it is right, say “lockbridge clock accept” on its machine.',
  })[trust]
