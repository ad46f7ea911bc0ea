// Groups: the list, one of them with its receipts, and the making of one.

import { OURS, get, onceOnly, post } from './api.js'
import { heard, load as loadDoors, uncertain } from './doors.js'
import {
  back, badge, big, cards, confirmed, count, entry, field, fill, form, fromInput, h, hinted, now, p, planned, row,
  say, sentence, setNow, toInput, zone,
} from './kit.js'
import { pin } from './pin.js'
import { isOver, isPast, state, times, urged } from './words.js'

const link = (key) => `#/groups/${encodeURIComponent(key)}`
const nameOf = (group) => group.name ?? 'Without a name'
const toAll = () => back('#/groups', 'All groups')
const PAGE = 50

let pages = 1

const isLeaving = ({ status }) => status === 'removing'
// The members that are not over; of these those whose time is not past, if there are any; and whose times the group has.
const current = (group) => group.receipts.filter((one) => !isOver(one))
const staying = (group) => {
  const members = current(group)
  return members.every(isPast) ? members : members.filter((one) => !isPast(one))
}
const lead = (group) => staying(group).find((one) => !isLeaving(one)) ?? group

const howFar = (group) => {
  const members = current(group)
  const proven = members.filter((one) => one.proven).length
  if (!members.length) return ['later', 'Over']
  if (members.every(isLeaving)) return ['wait', 'Being taken off']
  if (proven === members.length) return ['good', `Proven on ${count(proven, 'door')}`]
  if (members.every(({ waiting }) => waiting?.reason === 'not_due')) return ['later', 'Not due yet']
  return ['wait', `Proven on ${proven} of ${members.length}`]
}

// How far a group is, in a word.
const progress = (group) => {
  const { kind, word } = urged(group.problem, ...howFar(group))
  return badge(kind, word)
}

const card = (group) =>
  entry(
    group.common_code_key,
    h('h2', {}, h('a', { href: link(group.common_code_key) }, nameOf(group)), ' ', progress(group)),
    p(times(lead(group))),
    hinted(group.receipts.map((one) => one.device_name).join(', ')),
  )

export const groups = {
  load: async () => {
    const groups = []
    let told
    do {
      const cursor = told ? `&page_cursor=${told.pagination.next_page_cursor}` : ''
      told = await get(`${OURS}/groups?limit=${PAGE}${cursor}`)
      groups.push(...told.groups)
    } while (told.pagination.has_next_page && groups.length < pages * PAGE)
    setNow(told.now)
    return { ...told, groups }
  },
  title: () => 'Groups',
  draw: (told, again) => [
    uncertain(told),
    p(h('a', { class: 'button', href: '#/groups?new' }, 'New group')),
    told.groups.length
      ? cards(told.groups, card)
      : p('No groups. A group is one PIN on several doors, for one stay.'),
    told.pagination.has_next_page &&
      h('button', { type: 'button', onclick: () => ((pages += 1), again()) }, 'Show more'),
  ],
  facts: (told) => told.groups.map((group) => [group.common_code_key, `${nameOf(group)}: ${progress(group).textContent}`]),
}

const hasOwnTimes = (one, group) => times(one) !== times(lead(group))

const member = (group) => (one) => {
  const { kind, word, sentence, hint } = state(one)
  return entry(
    one.access_code_id,
    h('h2', {}, h('a', { href: `#/doors/${one.device_id}` }, one.device_name), ' ', badge(kind, word)),
    p(sentence),
    hint && hinted(hint),
    hasOwnTimes(one, group) && p(`This door has times of its own: ${times(one)}.`),
    one.own_pin && !isOver(one) && row('This door has a PIN of its own. ', pin(one.access_code_id, `of ${one.device_name}`)),
  )
}

const OVER = 'No lock holds a code of this group any more.'

// The group as it was drawn last, for parts that are drawn once.
let latest

export const group = {
  load: async (key) => {
    try {
      const receipt = await get(`${OURS}/groups/${encodeURIComponent(key)}`)
      setNow(receipt.now)
      return { key, receipt, over: !current(receipt).length, clock: receipt.clock }
    } catch (error) {
      if (error.type === 'access_code_not_found') return { key, over: true }
      throw error
    }
  },
  title: ({ receipt }) => (receipt ? nameOf(receipt) : 'Group'),
  draw: ({ key, receipt, over, ...told }, again) => {
    if (over) return [toAll(), big(badge('good', 'Over')), p(OVER)]
    latest = receipt
    const shared = staying(receipt).find((one) => !one.own_pin && !isLeaving(one))
    return [
      toAll(),
      uncertain(told),
      big(progress(receipt)),
      big(times(lead(receipt))),
      shared && row(pin(shared.access_code_id, `of ${nameOf(receipt)}`)),
      cards(receipt.receipts, member(receipt)),
      newTimes(key, again),
      row(h('button', { type: 'button', class: 'danger', onclick: () => end(receipt, again) }, 'End now')),
    ]
  },
  facts: ({ key, receipt, over }) =>
    over
      ? [[key, OVER]]
      : receipt.receipts.map((one) => [one.access_code_id, `${one.device_name}: ${state(one).word}`]),
}

const timeInput = (id, time) => h('input', { id, type: 'datetime-local', value: toInput(time), required: true })
const hours = (from, until) => [hinted(`Times in ${zone()}.`), field('From', from), field('Until', until)]

const window = (from, until) => {
  if (!from.value || !until.value) throw new Error('Give both times.')
  const [starts_at, ends_at] = [fromInput(from.value), fromInput(until.value)]
  if (ends_at <= starts_at) throw new Error('The end must come after the beginning.')
  return { starts_at, ends_at }
}

// A call for each code, so that no door holds up another. Gives what to tell of those that refused.
const each = async (members, path, body) => {
  const ask = async (one) => {
    try {
      await post(path, { access_code_id: one.access_code_id, ...body })
    } catch (error) {
      if (error.status === 404 || isOver(one)) return null
      const why = error.type === 'device_removed' ? 'left this gateway. Take the PIN off at the lock.' : error.message
      return `${one.device_name}: ${why}`
    }
  }
  return (await Promise.all(members.map(ask))).filter(Boolean)
}

const newTimes = (key, again) => {
  const [from, until] = [timeInput('move-from'), timeInput('move-until')]
  const own = hinted('Doors with times of their own take what is changed here too.')
  const move = async (made) => {
    const { starts_at, ends_at } = window(from, until)
    const isChanged = (input) => input.value !== input.defaultValue
    const body = { ...(isChanged(from) && { starts_at }), ...(isChanged(until) && { ends_at }) }
    if (!Object.keys(body).length) throw new Error('Neither time is another one.')
    const refused = await each(staying(latest), '/access_codes/update', body)
    again()
    if (refused.length) {
      throw Object.assign(new Error(`${count(refused.length, 'door keeps', 'doors keep')} the old times.`), { details: refused })
    }
    made.closest('details').open = false
    say('The new times are on record. Each lock takes them as soon as it answers.')
  }
  const made = form(
    {},
    move,
    hours(from, until),
    own,
    h('button', {}, 'Record the new times'),
  )
  // What is sent is what differs from what is on record.
  const refill = () => {
    const { starts_at, ends_at } = lead(latest)
    from.defaultValue = toInput(starts_at)
    until.defaultValue = toInput(ends_at)
    made.reset()
    own.hidden = !staying(latest).some((one) => hasOwnTimes(one, latest))
  }
  return h('details', { 'data-still': `times ${key}` }, h('summary', { onclick: refill }, 'Change the times'), made)
}

const end = async (receipt, again) => {
  const told = 'Its PIN is taken off every door as soon as the lock answers, and comes back no more.'
  let sure = await confirmed(`End ${nameOf(receipt)} now?`, told, 'End now')
  while (sure) {
    const refused = await each(receipt.receipts, '/access_codes/delete')
    again()
    if (!refused.length) return say('It ends now. Each door says here when the PIN is gone.')
    sure = await confirmed(`${count(refused.length, 'door')} cannot be told`, refused.map((text) => p(text)), 'End it once more')
  }
}

// The hours that stand there at first: from the next full hour until eleven on the next day.
const usual = () => {
  const from = now()
  from.setMinutes(60, 0, 0)
  const until = new Date(from)
  until.setDate(until.getDate() + 1)
  until.setHours(11, 0, 0, 0)
  return { from, until }
}

const choice = (name, value, label, checked, onchange) =>
  h('label', { class: 'choice' }, h('input', { type: name === 'door' ? 'checkbox' : 'radio', name, value, checked, onchange }), h('span', {}, label))

export const newGroup = {
  still: true,
  load: loadDoors,
  title: () => 'New group',
  draw: ({ doors }) => {
    const { from: first, until: last } = usual()
    const name = h('input', { id: 'name', type: 'text', maxlength: 100, autocomplete: 'off' })
    const [from, until] = [timeInput('from', first), timeInput('until', last)]
    const windows = h('div', {}, hours(from, until))
    const result = h('section', { 'aria-label': 'Dry run', tabindex: -1 })
    // What was checked is what is made: any change asks for another check.
    let version = 0
    const changed = () => {
      version += 1
      fill(result)
    }
    const picked = (made, which) => [...made.querySelectorAll(`[name=${which}]:checked`)].map(({ value }) => value)
    const ask = (made) => {
      const device_ids = picked(made, 'door')
      if (!device_ids.length) throw new Error('Choose at least one door.')
      return {
        device_ids,
        ...(name.value.trim() && { name: name.value.trim() }),
        ...(picked(made, 'when')[0] === 'window' && window(from, until)),
        behavior_when_code_cannot_be_shared: picked(made, 'sharing')[0],
      }
    }
    const check = async (made) => {
      changed()
      const body = ask(made)
      const mine = version
      const { dry_run } = await post(`${OURS}/dry_run`, body)
      if (mine !== version) return
      fill(result, drawRun(dry_run, body))
      result.focus()
    }
    const made = form(
      { oninput: changed },
      check,
      h('fieldset', {}, h('legend', {}, 'Doors'), doors.filter((door) => !door.removed).map((door) =>
        choice('door', door.device_id, `${door.name}${door.online ? '' : ' (does not answer now)'}`))),
      field('Name', name, 'Of the guest or the stay. It may be left out.'),
      h('fieldset', {},
        h('legend', {}, 'When'),
        choice('when', 'window', 'From – until', true, () => (windows.hidden = false)),
        choice('when', 'ongoing', 'Ongoing, without an end', false, () => (windows.hidden = true)),
        windows,
      ),
      h('fieldset', {},
        h('legend', {}, 'If no PIN suits all doors'),
        choice('sharing', 'create_random_code', 'Give the odd ones a PIN of their own', true),
        choice('sharing', 'throw', 'Do not make it', false),
      ),
      h('button', {}, 'Check'),
    )
    return [toAll(), made, result]
  },
}

const SHARE = { shared: ['good', 'Shares the PIN'], own_pin: ['wait', 'A PIN of its own'], none: ['bad', 'Not possible'] }

const outcome = (door) => {
  const objects = door.reasons.length > 0 || door.full.length > 0
  const [kind, word] = door.share === 'none' && !objects ? ['later', 'Nothing against it'] : SHARE[door.share]
  return h('li', { class: 'card' },
    h('h3', {}, door.device_name, ' ', badge(kind, word)),
    door.reasons.map(({ message, hint }) => p(`${sentence(message)} ${hint}`)),
    door.full.map(({ from, until }) =>
      p(`Full from ${planned(from)} until ${until ? planned(until) : 'further notice'}.`)),
    hinted(`${heard(door)}.`),
  )
}

const drawRun = (run, body) => {
  const shared = run.doors.filter(({ share }) => share === 'shared').length
  const one = `One PIN${run.length ? ` of ${run.length} digits` : ''} for ${count(shared, 'door')}`
  const named = onceOnly()
  const make = async () => {
    const { access_codes: codes } = await post('/access_codes/create_multiple', body, { 'idempotency-key': named })
    say('On record. Each door says here when its lock has the PIN.')
    location.hash = link(codes[0].common_code_key)
  }
  return [
    h('h2', {}, run.possible ? (shared ? one : 'Each door has a PIN of its own') : 'This cannot be made'),
    run.refusal && p(sentence(run.refusal.message)),
    p(`${body.starts_at ? times(body) : 'Ongoing, without an end'}. Nothing is made yet.`),
    cards(run.doors, outcome),
    run.possible && form({}, make, h('button', {}, 'Make this group')),
  ]
}
