// Whether everybody can use what stands there: nothing that axe calls serious or critical, and nothing that must be
// scrolled sideways.

import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

import { insist } from './stage.mjs'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

// By the debugger's way in, which the page's policy does not close.
export const look = async (page, where) => {
  await page.evaluate(AXE)
  const { violations } = await page.evaluate(() => axe.run(document))
  const grave = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
  const told = grave.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html, failureSummary])])
  insist(grave.length === 0, `${where}: not everybody can use it`, told)
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  insist(wide <= 0, `${where}: it must be scrolled sideways`, wide)
}
