// A stay from the page's side: made, waited for, proven while somebody watches, moved, ended.

import { BACK, FRONT, card, comeBack, goAway, http, insist, open, pins, play, shows, signIn, until, visit } from './stage.mjs'

await play(async () => {
  const { page, close } = await open()
  await page.clock.install()
  await signIn(page)
  await page.evaluate(() => (window.neverLoadedAnew = true))

  await goAway(BACK)
  await card(page, 'Back door').getByText('Does not answer').waitFor()

  // Made, after the dry run.
  await page.getByRole('link', { name: 'Groups', exact: true }).click()
  await page.getByRole('link', { name: 'New group' }).click()
  await page.getByRole('checkbox', { name: 'Front door' }).check()
  await page.getByRole('checkbox', { name: 'Back door' }).check()
  await page.getByLabel('Name').fill('Ada')
  await page.getByLabel('Ongoing').check()
  await page.getByRole('button', { name: 'Check' }).click()
  await page.getByRole('heading', { name: 'One PIN of 4 digits for 2 doors' }).waitFor()
  insist((await pins(FRONT)).length === 0, 'the dry run made something')
  // What was checked is what is made: another name asks for another check.
  await page.getByLabel('Name').fill('Ada Lovelace')
  insist((await page.getByRole('button', { name: 'Make this group' }).count()) === 0, 'an old check stands')
  await page.getByRole('button', { name: 'Check' }).click()
  await page.getByRole('button', { name: 'Make this group' }).click()
  await page.getByRole('heading', { name: 'Ada Lovelace' }).waitFor()

  // Proven where the lock answers; elsewhere it says why not, and when it is tried next.
  await shows(page, 'Front door', 'Proven')
  await card(page, 'Front door').getByText(/Read back from the lock at \d\d:\d\d:\d\d/).waitFor()
  await shows(page, 'Back door', 'Waiting')
  await card(page, 'Back door').getByText(/the lock does not answer; .*next try \d\d:\d\d:\d\d, in/).waitFor()
  await card(page, 'Back door').getByText("Check the lock's batteries").waitFor()
  const [code] = await pins(FRONT)
  const proven = () => card(page, 'Back door').getByText('Read back').isVisible()

  // The lock comes back, and the page says so by itself: told by the stream, since its clock stands nearly still
  // meanwhile, and it asks by itself every ten seconds only.
  await page.clock.pauseAt(await page.evaluate(() => Date.now() + 1000))
  await comeBack(BACK)
  let passed = 0
  await until('the page says that it is proven', async () => {
    insist(passed < 5000, 'nobody told the page', await card(page, 'Back door').textContent())
    await page.clock.runFor(20)
    passed += 20
    return proven()
  })
  await page.clock.resume()
  await page.getByText('Proven on 2 doors').waitFor()
  insist(await page.evaluate(() => window.neverLoadedAnew), 'the page was loaded anew')
  insist((await pins(BACK))[0] === code, 'the lock holds another PIN', 'two different ones')

  // Moved: an ongoing group gets an end.
  await page.getByText('Change the times').click()
  await page.getByLabel('From').fill('2030-05-01T15:00')
  await page.getByLabel('Until').fill('2030-04-01T11:00')
  await page.getByRole('button', { name: 'Record the new times' }).click()
  await page.getByText('The end must come after the beginning.').waitFor()
  await page.getByLabel('Until').fill('2030-05-03T11:00')
  await page.getByRole('button', { name: 'Record the new times' }).click()
  await page.getByText('Wed 1 May 2030, 15:00 – Fri 3 May 2030, 11:00').waitFor()
  await shows(page, 'Front door', 'Not due yet')
  await until('the PIN is off the lock', async () => (await pins(FRONT)).length === 0)
  const key = decodeURIComponent(new URL(page.url()).hash.split('/').pop())
  const { starts_at: begin } = await http('GET', `/lockbridge/v1/groups/${encodeURIComponent(key)}`)
  insist(begin === '2030-05-01T13:00:00.000Z', 'the time is not that of the zone', begin)

  // Ended, once somebody is sure.
  await page.getByRole('button', { name: 'End now' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
  await shows(page, 'Front door', 'Not due yet')
  await page.getByRole('button', { name: 'End now' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'End now' }).click()
  await page.getByText('No lock holds a code of this group any more.').first().waitFor()
  await visit(page, '#/groups')
  await page.getByText('No groups.').waitFor()
  await close([code])
})
