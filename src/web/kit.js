// Elements, how a view is brought up to date in place, times, and what is said aloud.

const HANDLERS = ['onclick', 'onsubmit', 'oninput', 'onchange']

// An element. Handlers are properties, since the page's policy allows no others.
export const h = (tag, props, ...children) => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value == null || value === false) continue
    if (HANDLERS.includes(name)) element[name] = value
    else element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...real(children))
  return element
}

// What is there of children, some of which depend on something.
const real = (children) => children.flat(9).filter((child) => child != null && child !== false)

// Paragraphs, cards, and facts side by side.
const styled = (name) => (...children) => h('p', { class: name }, ...children)
export const [p, hinted, row, big, notice] = [null, 'hint', 'row', 'big', 'notice'].map(styled)
export const entry = (key, ...children) => h('li', { class: 'card', 'data-key': key }, ...children)
export const cards = (all, card) => h('ul', { class: 'cards' }, all.map(card))
export const spread = (facts) => h('p', { class: 'facts' }, facts.filter(Boolean).map((fact) => h('span', {}, fact)))
export const back = (href, text) => p(h('a', { href }, `← ${text}`))

// Lets nothing but these stand in a place.
export const fill = (place, ...children) => place.replaceChildren(...real(children))

// Makes what stands in `live` the same as in `fresh`, and leaves alone what is the same already, so
// that neither the focus nor an open part nor a screen reader's place is lost. Elements with a
// `data-key` are found again wherever they stand; what has `data-still` belongs to the user.
export const morph = (live, fresh) => {
  const keyed = new Map([...live.children].map((child) => [child.dataset.key, child]))
  let at = live.firstChild
  for (const want of [...fresh.childNodes]) {
    const key = want.dataset?.key
    const have = key ? keyed.get(key) : at
    if (!have || have.nodeName !== want.nodeName || have.dataset?.key !== key) {
      live.insertBefore(want, at)
      continue
    }
    if (have === at) at = at.nextSibling
    else live.insertBefore(have, at)
    renew(have, want)
  }
  while (at) {
    const next = at.nextSibling
    at.remove()
    at = next
  }
}

const renew = (have, want) => {
  if (have.nodeType !== Node.ELEMENT_NODE) {
    if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue
    return
  }
  if (have.dataset.still && have.dataset.still === want.dataset.still) return
  for (const { name } of [...have.attributes]) {
    // Whether a part is open is the user's.
    if (!want.hasAttribute(name) && name !== 'open') have.removeAttribute(name)
  }
  for (const { name, value } of want.attributes) {
    if (have.getAttribute(name) !== value) have.setAttribute(name, value)
  }
  for (const handler of HANDLERS) have[handler] = want[handler]
  morph(have, want)
}

// How far the gateway's clock is ahead of this one: nearness in time goes by the gateway's.
let ahead = 0

export const setNow = (now) => {
  if (now) ahead = Date.parse(now) - Date.now()
}

export const now = () => new Date(Date.now() + ahead)

const style = (options) => new Intl.DateTimeFormat('en-GB', options)
const DAY = { weekday: 'short', day: 'numeric', month: 'short' }
const [NEAR, FAR] = [style(DAY), style({ ...DAY, year: 'numeric' })]
const MINUTE = style({ hour: '2-digit', minute: '2-digit' })
const SECOND = style({ hour: '2-digit', minute: '2-digit', second: '2-digit' })

// The day, unless it is today; the year, unless it is this one.
const day = (date, today) =>
  FAR.format(date) === FAR.format(now())
    ? today
    : `${(date.getFullYear() === now().getFullYear() ? NEAR : FAR).format(date).replace(',', '')}, `

const told = (text, clock, today) => day(new Date(text), today) + clock.format(new Date(text))

export const minute = (date) => MINUTE.format(date)

// A time as people plan it, and one as things happen.
export const planned = (text) => told(text, MINUTE, 'today ')
export const happened = (text) => told(text, SECOND, '')

// "in 40 s", "3 min ago".
export const near = (text) => {
  const seconds = Math.round((Date.parse(text) - now()) / 1000)
  const far = Math.abs(seconds)
  if (far < 2) return 'now'
  const [count, unit] =
    far < 90 ? [far, 's'] : far < 5400 ? [far / 60, 'min'] : far < 172800 ? [far / 3600, 'h'] : [far / 86400, 'days']
  const much = `${Math.round(count)} ${unit}`
  return seconds > 0 ? `in ${much}` : `${much} ago`
}

// The gateway's sentences have their times in UTC; here people read them in their own.
export const inOurTime = (sentence) => sentence.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (time) => happened(time))

export const zone = () => {
  const offset = style({ timeZoneName: 'longOffset' }).format().split(' ').pop()
  return `${style().resolvedOptions().timeZone} (${offset.replace('GMT', 'UTC')})`
}

// What an input for a time wants, and what it gives.
export const toInput = (time) => {
  if (!time) return ''
  const date = new Date(time)
  return new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16)
}
export const fromInput = (value) => new Date(value).toISOString()

// A message of the gateway, as a sentence.
export const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.')

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`

let quietAgain

// Said in a line at the foot, and by a screen reader.
export const say = (text) => {
  const line = document.getElementById('said')
  line.textContent = text
  clearTimeout(quietAgain)
  quietAgain = setTimeout(() => (line.textContent = ''), 10000)
}

// A word for a state, never by its colour alone.
export const badge = (kind, text) => h('span', { class: `badge ${kind}` }, text)

// A refusal or a failure, and what to do.
export const alarm = (error, again) =>
  h('div', { class: 'alarm', role: 'alert' },
    p(h('strong', {}, inOurTime(sentence(error.message)))),
    (error.details ?? []).map((detail) => p(inOurTime(sentence(detail)))),
    again && h('button', { type: 'button', onclick: again }, 'Try again'),
  )

// Puts what was refused where the user looks, or takes it away.
const complain = (place, error) => fill(place, error && alarm(error))

export const field = (label, input, hint) => {
  if (hint) input.setAttribute('aria-describedby', `${input.id}-hint`)
  return h('div', { class: 'field' },
    h('label', { for: input.id }, label),
    input,
    hint && h('p', { class: 'hint', id: `${input.id}-hint` }, hint),
  )
}

// A form that is sent once at a time; what goes wrong stands in it.
export const form = (props, deed, ...children) => {
  const trouble = h('div')
  const made = h('form', { novalidate: true, ...props }, ...children, trouble)
  made.onsubmit = async (event) => {
    event.preventDefault()
    if (made.dataset.busy) return
    made.dataset.busy = 'yes'
    complain(trouble)
    try {
      await deed(made)
    } catch (error) {
      complain(trouble, error)
    } finally {
      delete made.dataset.busy
    }
  }
  return made
}

// Asks before something that cannot be taken back.
export const confirmed = (question, told, yes) =>
  new Promise((resolve) => {
    const dialog = h('dialog', { 'aria-labelledby': 'question', 'aria-describedby': 'told' })
    dialog.append(
      h('h2', { id: 'question' }, question),
      h('div', { id: 'told' }, told),
      row(
        h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'),
        h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, yes),
      ),
    )
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'yes')
      dialog.remove()
    })
    document.body.append(dialog)
    dialog.showModal()
  })
