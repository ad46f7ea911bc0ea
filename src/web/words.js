// What the gateway's words mean to people.

import { count, happened, near, now, planned } from './kit.js'

// Why something waits; `true` where it takes a person to go on.
const REASONS = {
  in_line: ['its turn comes'],
  not_due: ['its time has not come'],
  device_silent: ['the lock does not answer'],
  radio_away: ['what speaks to the lock cannot be reached'],
  waiting_for_slot: ['the lock has no free place yet'],
  no_space_for_access_code_on_device: ['the lock says that it is full', true],
  duplicate_code_on_device: ['the lock holds this PIN already', true],
  slot_taken: ["somebody else's code stands in its place", true],
  credential_refused: ["the lock does not accept the gateway's key", true],
  device_unsecured: ['the lock was joined without encryption', true],
  refused_by_device: ['the lock says no', true],
  not_stored_by_device: ['the lock said yes and did not do it'],
  not_kept: ['the lock does not keep it', true],
  gone_since_export: ['the lock lost it since the export', true],
}

export const reason = (word) => REASONS[word]?.[0] ?? word.replaceAll('_', ' ')
export const needsSomebody = (word) => Boolean(REASONS[word]?.[1])

const nextTry = (at) => {
  if (!at) return 'tried when another code is taken off'
  return new Date(at) > now() ? `next try ${happened(at)}, ${near(at)}` : 'being tried now'
}

export const isPast = ({ ends_at: until }) => Boolean(until) && new Date(until) <= now()
// Its time is past, and its lock holds it no more.
export const isOver = (one) => isPast(one) && !one.proven && !one.waiting

// What a badge says. Whether somebody is needed is the gateway's word, the same for everybody who asks it.
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
  if (proven) {
    const how =
      proven.how === 'read_back'
        ? `Read back from the lock at ${happened(proven.at)}.`
        : `The lock acknowledged it at ${happened(proven.at)}; it does not show its codes.`
    return { kind: 'good', word: 'Proven', sentence: how, hint }
  }
  if (status === 'removing') return { kind: 'wait', word: 'Being taken off', sentence: 'The lock has not confirmed yet.', hint }
  return { kind: 'later', word: 'Not on the lock', sentence: 'Nothing is to be done now.', hint }
}

// What a door waits for, in a sentence.
export const waits = ({ pending, reason: word, next_try: at }) =>
  pending
    ? `${count(pending, 'code waits', 'codes wait')}: ${word ? reason(word) : 'their turn comes'}; ${nextTry(at)}.`
    : 'Nothing waits.'

export const times = ({ starts_at: from, ends_at: until }) =>
  from && until ? `${planned(from)} – ${planned(until)}` : 'ongoing, without an end'

// How loud a lock is, as far as its radio says.
export const signal = (rssi) =>
  rssi == null ? null : `Signal ${rssi >= -67 ? 'good' : rssi >= -80 ? 'fair' : 'weak'} (${rssi} dBm)`

export const battery = (percent) => (percent == null ? null : `Battery ${percent} %`)

const METHODS = { keycode: 'with a PIN', manual: 'by hand', automatic: 'by itself', remote: 'by radio' }

const EVENTS = {
  'access_code.created': 'Access code made',
  'access_code.changed': 'Access code changed',
  'access_code.mutations_requested': 'A change is to be carried out',
  'access_code.scheduled_on_device': 'Proven on the lock, opens in time',
  'access_code.set_on_device': 'Proven on the lock',
  'access_code.name_changed': 'The lock took the new name',
  'access_code.code_changed': 'The lock took the new PIN',
  'access_code.time_frame_changed': 'The lock took the new times',
  'access_code.delay_in_setting_on_device': 'Late: not on the lock yet',
  'access_code.failed_to_set_on_device': 'The lock did not take it',
  'access_code.removed_from_device': 'Proven gone from the lock',
  'access_code.delay_in_removing_from_device': 'Late: not off the lock yet',
  'access_code.failed_to_remove_from_device': 'The lock did not let go of it',
  'access_code.deleted': 'Deleted, and gone from the lock',
  'access_code.deleted_external_to_seam': 'Somebody deleted it at the lock',
  'access_code.modified_external_to_seam': 'Somebody changed it at the lock',
  'access_code.unmanaged.created': 'Somebody added a code at the lock',
  'access_code.unmanaged.removed': 'A code of somebody else is gone from the lock',
  'lockbridge.access_code.revealed': 'PIN shown',
  'lockbridge.access_code.suspect': 'A code on the lock that may be ours',
  'device.added': 'Door added',
  'device.connected': 'Answers again',
  'device.disconnected': 'Does not answer',
  'device.removed': 'Door left this gateway',
  'device.tampered': 'Somebody tampers with the lock',
  'device.low_battery': 'Battery low',
  'lock.locked': 'Locked',
  'lock.unlocked': 'Unlocked',
  'lock.access_denied': 'A wrong PIN was typed',
  'lockbridge.lock.jammed': 'The bolt is jammed',
  'lockbridge.radio.away': 'A radio cannot be reached',
  'lockbridge.radio.back': 'The radio is back',
  'lockbridge.job.accepted': 'Job accepted',
  'lockbridge.job.done': 'Job done',
  'lockbridge.restarted': 'The gateway started',
  'lockbridge.restored': 'The gateway was restored from an export',
  'lockbridge.clock.trusted': 'The clock counts again',
  'lockbridge.clock.untrusted': 'Nothing vouches for the clock',
  'lockbridge.clock.wild': 'The clock jumped',
  'lockbridge.events_lost': 'Older events are kept no more',
}

export const event = (happening) => {
  const words = EVENTS[happening.event_type] ?? happening.event_type.replaceAll(/[._]/g, ' ')
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
