// PINs: hidden until somebody asks, and again soon after. Each look is an event at the gateway.

import { OURS, post } from './api.js'
import { h, say, sentence } from './kit.js'

const FOR = 30000
const open = new Map()
// Raised whenever all are hidden: an answer to an older question shows nothing.
let round = 0
let redraw = () => {}
let allowed = false

// Who may see PINs, and what draws the view once more.
export const allow = (may, again) => {
  hideAll()
  allowed = may
  redraw = again
}

export const hideAll = () => {
  round += 1
  for (const { timer } of open.values()) clearTimeout(timer)
  open.clear()
}

const hide = (id) => {
  clearTimeout(open.get(id)?.timer)
  open.delete(id)
  redraw()
}

const show = async (id) => {
  const mine = round
  try {
    const { access_code: told } = await post(`${OURS}/access_codes/reveal`, { access_code_id: id })
    if (mine !== round) return
    open.set(id, { code: told.code, timer: setTimeout(() => hide(id), FOR) })
    redraw()
  } catch (error) {
    say(sentence(error.message))
  }
}

// A button for a PIN, and the PIN while it is shown. `whose` tells screen readers one from another.
export const pin = (id, whose) => {
  if (!allowed) return null
  const shown = open.get(id)
  return h('span', { class: 'pin', 'aria-live': 'polite' },
    shown && h('output', {}, shown.code),
    h('button', { type: 'button', onclick: () => (shown ? hide(id) : show(id)) },
      shown ? 'Hide PIN' : 'Show PIN',
      h('span', { class: 'unseen' }, ` ${whose}`),
    ),
    shown && h('span', { class: 'hint' }, 'This look is on record.'),
  )
}
