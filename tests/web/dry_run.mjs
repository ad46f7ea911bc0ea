// A dry run that finds a full lock and a lock with other rules, and makes nothing.

import { CELLAR, FRONT, SAFE, card, http, insist, open, pins, play, shows, signIn, until, visit } from './stage.mjs'

await play(async () => {
  // The safe has room for one code.
  await http('POST', '/access_codes/create', { device_id: SAFE, name: 'Owner' })
  await until('the safe is full', async () => (await pins(SAFE)).length === 1)
  const { page, close } = await open()
  await signIn(page)
  await visit(page, '#/groups?new')
  const check = () => page.getByRole('button', { name: 'Check' }).click()
  await check()
  await page.getByText('Choose at least one door.').waitFor()
  for (const door of ['Front door', 'Cellar', 'Safe']) await page.getByRole('checkbox', { name: door }).check()
  await check()
  await page.getByRole('heading', { name: 'This cannot be made' }).waitFor()
  await shows(page, 'Safe', 'Not possible')
  await card(page, 'Safe').getByText(/Full from .* until /).waitFor()
  await card(page, 'Front door').getByText(/Heard in \d+ of \d+ hours? so far/).waitFor()
  insist((await page.getByRole('button', { name: 'Make this group' }).count()) === 0, 'it can be made all the same')

  // An answer to what was asked before the last change is none.
  let answer
  const held = new Promise((resolve) => (answer = resolve))
  await page.route('**/dry_run', async (route) => (await held, route.continue()), { times: 1 })
  const late = page.waitForResponse('**/dry_run')
  await check()
  await page.getByLabel('Name').fill('Ada')
  answer()
  await (await late).finished()
  await until('the form can be sent again', async () => (await page.locator('form[data-busy]').count()) === 0)
  insist((await page.getByRole('heading', { name: 'This cannot be made' }).count()) === 0, 'an old check stands')

  // A new window asks for a new check; without the safe the others can have one PIN each, or none, as is asked for.
  await page.getByLabel('Ongoing').check()
  await page.getByRole('checkbox', { name: 'Safe' }).uncheck()
  await page.getByLabel('Do not make it').check()
  await check()
  await page.getByRole('heading', { name: 'This cannot be made' }).waitFor()
  await page.getByLabel('Give the odd ones').check()
  await check()
  await shows(page, 'Cellar', /PIN/)
  await page.getByRole('button', { name: 'Make this group' }).waitFor()
  insist((await pins(FRONT)).length + (await pins(CELLAR)).length === 0, 'a dry run made something')
  await page.getByRole('button', { name: 'Make this group' }).click()
  await page.getByText('Proven on 2 doors').waitFor()
  await page.getByText('This door has a PIN of its own.').waitFor()
  await close()
})
