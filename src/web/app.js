// The page: who is signed in, which view is shown, and what keeps it up to date.

import { SESSION, call, follow, get, post, whenSignedOut } from './api.js'
import { door, doors } from './doors.js'
import { events } from './events.js'
import { group, groups, newGroup } from './groups.js'
import { alarm, field, fill, form, h, minute, morph, notice, say, sentence, zone } from './kit.js'
import { pair } from './pair.js'
import { allow, hideAll } from './pin.js'

const VIEWS = [
  [/^#\/doors$/, doors],
  [/^#\/doors\/([^/]+)$/, door],
  [/^#\/groups$/, groups],
  // No group's address, whatever its key.
  [/^#\/groups\?new$/, newGroup],
  [/^#\/groups\/([^/]+)$/, group],
  [/^#\/pair$/, pair],
  [/^#\/events$/, events],
]

const NAV = [
  ['#/doors', 'Doors', 'codes'],
  ['#/groups', 'Groups', 'codes'],
  ['#/pair', 'Pair', 'admin'],
  ['#/events', 'Events', 'codes'],
]

// Without news a view is asked for anew so often: tries and signals change without an event.
const EVERY = 10000
// Many events at once are one look.
const PAUSE = 300

const at = (id) => document.getElementById(id)

let session = null
let stop = () => {}
// The view that is shown: what it is, its part of the address, what was told, and what was said of it.
let shown = null
let soon = null

const heading = (text) => h('h1', { tabindex: -1 }, text)

// Draws what is known into the page, in place.
const redraw = () => {
  if (!shown?.told || (shown.view.still && shown.drawn)) return
  const { view, told } = shown
  shown.drawn = true
  const title = view.title(told)
  document.title = `${title} – ${session.gateway.site}`
  morph(at('main'), h('main', {}, heading(title), view.draw(told, refresh, redraw)))
}

// Asks anew, draws what changed, and says it aloud.
const refresh = async () => {
  const mine = shown
  // A form that is filled in is drawn once.
  if (!mine || (mine.view.still && mine.told)) return
  clearTimeout(soon)
  try {
    const told = await mine.view.load(mine.part, mine.told)
    if (shown !== mine) return
    mine.told = told
    redraw()
    const before = mine.facts
    mine.facts = new Map(mine.view.facts?.(told))
    const changed = [...mine.facts].filter(([key, fact]) => fact && before && before.get(key) !== fact)
    if (changed.length) say(changed.slice(0, 3).map(([, fact]) => fact).join('. '))
  } catch (error) {
    if (shown !== mine || !session) return
    // What is on the page stays there: the head says since when it is not live.
    if (!mine.told) fill(at('main'), heading('Something is wrong'), alarm(error, refresh))
  } finally {
    if (shown === mine) plan(mine.view.every ?? EVERY)
  }
}

const plan = (wait) => {
  clearTimeout(soon)
  if (!document.hidden) soon = setTimeout(refresh, wait)
}

// What happened without a line was not heard.
const catchUp = () => {
  if (shown?.told) shown.told.stale = true
  refresh()
}

// The view of the address.
const show = async () => {
  if (!session) return
  const [pattern, view] = VIEWS.find(([pattern]) => pattern.test(location.hash)) ?? []
  if (!view) return location.replace(NAV.find(([, , scope]) => session.scopes.includes(scope))?.[0] ?? '#/doors')
  hideAll()
  const part = location.hash.match(pattern)[1]
  // Takes whatever was typed, unlike decodeURIComponent.
  shown = { view, part: new URLSearchParams(`part=${part}`).get('part') }
  for (const link of at('nav').children) {
    if (location.hash.startsWith(link.hash)) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  const mine = shown
  at('main').setAttribute('aria-busy', 'true')
  fill(at('main'), heading('One moment …'))
  await refresh()
  if (shown !== mine) return
  at('main').removeAttribute('aria-busy')
  at('main').querySelector('h1')?.focus()
}

const heard = (one) => {
  shown?.view.heard?.(one)
  if (shown?.told) plan(PAUSE)
}

let since = null

const isLive = (yes) => {
  const line = at('live')
  line.hidden = false
  if (yes) catchUp()
  since = yes ? null : (since ?? new Date())
  line.className = yes ? 'live good' : 'live bad'
  line.textContent = yes ? 'Live' : `Not live since ${minute(since)}. Trying again.`
}

const listen = () => {
  stop()
  stop = follow(heard, isLive)
}

const begin = (told) => {
  session = told
  at('site').textContent = session.gateway.site
  const offered = NAV.filter(([, , scope]) => session.scopes.includes(scope))
  fill(at('nav'), offered.map(([href, text]) => h('a', { href }, text)))
  at('nav').hidden = false
  at('leave').hidden = false
  allow(session.scopes.includes('pins') && session.scopes.includes('codes'), redraw)
  if (session.scopes.includes('codes')) listen()
  show()
}

// Nothing of what was shown stays on the page.
const signIn = (why) => {
  session = null
  shown = null
  stop()
  clearTimeout(soon)
  allow(false, () => {})
  for (const id of ['nav', 'leave', 'live']) at(id).hidden = true
  document.title = 'Sign in – lockbridge'
  const key = h('input', { id: 'key', type: 'password', autocomplete: 'off', spellcheck: 'false', required: true })
  const enter = async () => {
    if (!key.value.trim()) throw new Error('Type the key.')
    const { session: told } = await post(SESSION, { api_key: key.value.trim() })
    key.value = ''
    begin(told)
  }
  fill(
    at('main'),
    heading('Sign in'),
    why && notice(why),
    form(
      {},
      enter,
      field('API key', key, 'Made on the gateway’s machine: sudo lockbridge keys create front-desk'),
      h('button', {}, 'Sign in'),
    ),
  )
  key.focus()
}

whenSignedOut(() => session && signIn('You were signed out: the session ended, the gateway started anew, or the key was revoked.'))

at('leave').onclick = async () => {
  try {
    await call('DELETE', SESSION)
    signIn('You are signed out.')
  } catch (error) {
    say(sentence(error.message))
  }
}

addEventListener('hashchange', show)

// A page that nobody sees neither holds a line nor shows a PIN.
document.addEventListener('visibilitychange', () => {
  if (!session) return
  if (document.hidden) {
    stop()
    clearTimeout(soon)
    hideAll()
    redraw()
  } else {
    if (session.scopes.includes('codes')) listen()
    refresh()
  }
})

// What is near in time comes nearer.
setInterval(() => document.hidden || redraw(), 1000)

at('zone').textContent = `Times in ${zone()}.`

try {
  const { session: told } = await get(SESSION)
  begin(told)
} catch (error) {
  signIn(error.status === 401 ? null : error.message)
}
