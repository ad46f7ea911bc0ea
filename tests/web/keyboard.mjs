// Signing in and making a group without a mouse, and what a screen reader is told on the way.

import { KEY, http, insist, open, play, until } from './stage.mjs'

await play(async () => {
  const { page, close } = await open()
  const here = () =>
    page.evaluate(() => {
      const at = document.activeElement
      return (at.labels?.[0] ?? at).textContent.trim()
    })
  // Goes from one stop to the next until it is there.
  const go = (key) => async (name) => {
    const passed = []
    while (passed.length < 40) {
      await page.keyboard.press(key)
      passed.push(await here())
      if (passed.at(-1).startsWith(name)) return
    }
    insist(false, `no way to ${name}`, passed)
  }
  const [tabTo, backTo] = [go('Tab'), go('Shift+Tab')]
  const focus = (name) => until(`the focus is on ${name}`, async () => (await here()).startsWith(name))

  await focus('API key')
  await page.keyboard.type('seam_lb_wrong')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').waitFor()
  await page.keyboard.press('ControlOrMeta+A')
  await page.keyboard.type(KEY)
  await page.keyboard.press('Enter')
  await focus('Doors')
  await backTo('Groups')
  await page.keyboard.press('Enter')
  await focus('Groups')
  await tabTo('New group')
  await page.keyboard.press('Enter')
  await focus('New group')
  await tabTo('Front door')
  await page.keyboard.press('Space')
  await tabTo('Name')
  await page.keyboard.type('Grace')
  await tabTo('Check')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Make this group' }).waitFor()
  await tabTo('Make this group')
  await page.keyboard.press('Enter')
  await focus('Grace')
  // The live region says what the page shows.
  await until('it is said aloud', async () => /Front door: |On record/.test(await page.locator('#said').textContent()))
  await page.getByText('Show PIN').waitFor()
  const { groups } = await http('GET', '/lockbridge/v1/groups')
  insist(groups.length === 1 && groups[0].name === 'Grace', 'one group was made', groups.length)
  await close()
})
