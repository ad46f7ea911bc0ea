// PINs: not in the page until somebody asks, on record when somebody did, and gone again soon.

import { BLIND, FRONT, http, insist, makeGroup, open, play, signIn, visit } from './stage.mjs'

await play(async () => {
  const { key, code } = await makeGroup('Ada', [FRONT])
  const { page, close } = await open()
  const told = []
  page.on('response', async (answer) => {
    if (answer.url().includes('/stream') || answer.url().includes('/reveal')) return
    told.push(await answer.text().catch(() => ''))
  })
  await page.clock.install()
  await signIn(page)
  await visit(page, `#/groups/${encodeURIComponent(key)}`)
  const show = page.getByRole('button', { name: 'Show PIN of Ada' })
  await show.waitFor()
  const stands = async () => (await page.content()).includes(code)
  insist(!(await stands()), 'the PIN stands there unasked')

  await show.click()
  await page.locator('output', { hasText: code }).waitFor()
  const revealed = await http('GET', `/events/list?since=2020-01-01T00:00:00Z&event_type=lockbridge.access_code.revealed`)
  insist(revealed.events.length === 1 && !JSON.stringify(revealed).includes(code), 'one event without the PIN', revealed.events.length)
  insist(revealed.events[0].device_id === FRONT, 'the event names another door', revealed.events[0].device_id)

  // Hidden by hand, with time, and with the view.
  await page.getByRole('button', { name: 'Hide PIN' }).click()
  await show.waitFor()
  insist(!(await stands()), 'it was hidden, and stands there')
  await show.click()
  await page.locator('output', { hasText: code }).waitFor()
  await page.clock.fastForward(31_000)
  await show.waitFor()
  insist(!(await stands()), 'its time is over, and it stands there')
  await show.click()
  await page.locator('output', { hasText: code }).waitFor()
  await visit(page, '#/events')
  await page.getByText('PIN shown').first().waitFor()
  insist(!(await stands()), 'the view was left, and it stands there')
  await page.goBack()
  await show.waitFor()
  insist(!(await stands()), 'the view was left, and shows it to whoever comes back')

  // An answer that comes after the view was left shows nothing to whoever comes back.
  let answer
  const held = new Promise((resolve) => (answer = resolve))
  await page.route('**/reveal', async (route) => (await held, route.continue()), { times: 1 })
  const late = page.waitForResponse('**/reveal')
  await show.click()
  await visit(page, '#/events')
  await page.getByText('PIN shown').first().waitFor()
  await page.goBack()
  await show.waitFor()
  answer()
  await (await late).finished()
  await page.clock.runFor(2000)
  insist(!(await stands()), 'the view was left, and a late answer shows it')
  insist(!told.some((text) => text.includes(code)), 'an answer to the page held a PIN that nobody asked for')
  await close([code])

  // A key that may not see PINs is not offered any.
  const other = await open()
  await signIn(other.page, BLIND)
  await visit(other.page, `#/groups/${encodeURIComponent(key)}`)
  await other.page.getByText('Proven on 1 door').waitFor()
  insist((await other.page.getByRole('button', { name: 'Show PIN' }).count()) === 0, 'it is offered a PIN')
  insist((await other.page.getByRole('link', { name: 'Pair' }).count()) === 0, 'it is offered to pair')
  await other.close([code, BLIND])
})
