// Bluetooth: who is heard, and the pairing of a lock, step by step.

import { OURS, get, post } from './api.js'
import { badge, count, field, form, h, happened, near } from './kit.js'
import { battery, signal } from './words.js'

const BLUETOOTH = `${OURS}/bluetooth`

let chosen = null

const none = (error) => {
  if (error.type === 'not_found') return null
  throw error
}

export const pair = {
  every: 2000,
  load: async () => {
    const scan = await get(BLUETOOTH).catch((error) => {
      // A gateway without Bluetooth says so.
      if (error.type === 'not_found') return { missing: error.message }
      throw error
    })
    const errand = scan.missing ? null : await get(`${BLUETOOTH}/errand`).catch(none)
    return { ...scan, errand: errand?.errand }
  },
  title: () => 'Pair a lock',
  draw: ({ missing, bluetooth, errand }, again) => {
    if (missing) return [h('p', { class: 'notice' }, 'This gateway uses no Bluetooth. Add a [ble] section to its configuration to pair Nuki locks.')]
    const nukis = bluetooth.heard.filter(({ kind }) => kind !== 'other')
    const others = bluetooth.heard.length - nukis.length
    return [
      bluetooth.outage && h('p', { class: 'notice bad' }, `Bluetooth does not work: ${bluetooth.outage}.`),
      errand && steps(errand),
      h('h2', {}, 'Nuki locks nearby'),
      nukis.length
        ? h('ul', { class: 'cards' }, nukis.map((one) => card(one, errand, again)))
        : h('p', {}, 'None is heard. Go nearer with the gateway, and see that Bluetooth is allowed in the lock’s settings.'),
      others > 0 && h('p', { class: 'hint' }, `${count(others, 'other thing')} nearby ${others === 1 ? 'speaks' : 'speak'} Bluetooth.`),
    ]
  },
  facts: ({ errand, bluetooth }) => [
    ['steps', errand ? (errand.problem ?? errand.steps.at(-1)?.sentence ?? '') : ''],
    ['heard', bluetooth ? `${count(bluetooth.heard.filter(({ kind }) => kind !== 'other').length, 'Nuki lock')} nearby` : ''],
  ],
}

const card = (one, errand, again) => {
  const [kind, word] = one.device_id
    ? ['good', 'Paired']
    : one.kind === 'nuki_pairable'
      ? ['wait', 'Ready to be paired']
      : ['later', 'Not paired']
  const pick = () => {
    chosen = one.address
    again().then(() => document.getElementById('security-pin')?.focus())
  }
  return h(
    'li',
    { class: 'card', 'data-key': one.address },
    h('h3', {}, one.name ?? one.address, ' ', badge(kind, word)),
    h('p', { class: 'facts' }, [one.address, signal(one.rssi), battery(one.battery_level == null ? null : Math.round(one.battery_level * 100)), `heard ${near(one.last_heard)}`]
      .filter(Boolean).map((fact) => h('span', {}, fact))),
    errand?.state !== 'running' && (one.device_id
      ? h('div', { 'data-key': 'test', 'data-still': `test ${one.address}` }, test(one, again))
      : chosen === one.address
        ? h('div', { 'data-key': 'form', 'data-still': `pair ${one.address}` }, details(one, again))
        : h('p', { class: 'row', 'data-key': 'pick' }, h('button', { type: 'button', onclick: pick }, 'Pair', h('span', { class: 'unseen' }, ` ${one.name ?? one.address}`)))),
  )
}

const test = ({ device_id }, again) => {
  const begin = async () => {
    await post(`${BLUETOOTH}/test`, { device_id })
    again()
  }
  return form({}, begin, h('button', {}, 'Test it: a code is added and taken off again'))
}

const details = ({ address }, again) => {
  const pin = h('input', { id: 'security-pin', type: 'password', inputmode: 'numeric', autocomplete: 'off', maxlength: 6 })
  const name = h('input', { id: 'lock-name', type: 'text', maxlength: 100, autocomplete: 'off' })
  const begin = async () => {
    const security_pin = pin.value
    await post(`${BLUETOOTH}/pair`, { address, security_pin, ...(name.value.trim() && { name: name.value.trim() }) })
    pin.value = ''
    chosen = null
    again()
  }
  return form(
    {},
    begin,
    field('Security PIN of the lock', pin, 'From the Nuki app: four digits, six for an Ultra.'),
    field('Name of the door', name, 'Left out: the name that it has in the Nuki app.'),
    h('button', {}, 'Begin to pair'),
  )
}

const STATES = { running: ['wait', 'Under way'], done: ['good', 'Done'], failed: ['bad', 'Failed'] }
const KINDS = { pair: 'Pairing', test: 'Test', unpair: 'Unpairing' }

const steps = (errand) => {
  const [kind, word] = STATES[errand.state]
  return h(
    'section',
    { class: 'card', 'data-key': 'errand', 'aria-label': 'Steps' },
    h('h2', {}, `${KINDS[errand.kind]} of ${errand.address} `, badge(kind, word)),
    h('ol', {}, errand.steps.map(({ sentence, at }) => h('li', {}, sentence, ' ', h('span', { class: 'hint' }, happened(at))))),
    errand.problem && h('p', {}, h('strong', {}, errand.problem)),
    errand.hint && h('p', {}, errand.hint),
  )
}
