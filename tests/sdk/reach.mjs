// A door out of reach, seen through the SDK alone.

import { BACK, FRONT, advance, client, insist, pins, play, refused, same, words } from './stage.mjs'

await play(async () => {
  const seam = client()
  same(await seam.devices.simulate.disconnect({ device_id: BACK }), undefined, 'disconnect')
  let device = await seam.devices.get({ device_id: BACK })
  same(device.properties.online, false, 'online')
  insist(words(device.errors, 'error_code').includes('device_offline'), "the device's error", device.errors)
  await refused(
    'a caller who will not wait',
    () => seam.accessCodes.createMultiple({ device_ids: [FRONT, BACK], attempt_for_offline_device: false }),
    'device_offline',
    409,
    'Back door',
  )
  same(await seam.accessCodes.list({ device_id: FRONT }), [], 'what is refused leaves nothing')

  const created = await seam.accessCodes.createMultiple({ device_ids: [FRONT, BACK], name: 'Jane' })
  const pin = created[0].code
  await advance(600)
  const get = (n) => seam.accessCodes.get({ access_code_id: created[n].access_code_id })
  const near = await get(0)
  let far = await get(1)
  same([near.status, near.errors, near.pending_mutations], ['set', [], []], 'the near door')
  same(far.status, 'setting', 'the far door')
  insist(words(far.errors, 'error_code').includes('device_offline'), 'why it waits', far.errors)
  same(words(far.pending_mutations, 'mutation_code'), ['creating'], 'what it waits for')
  insist(
    words(far.warnings, 'warning_code').includes('delay_in_setting_on_device'),
    'that it is late',
    far.warnings,
  )
  same([await pins(FRONT), await pins(BACK)], [[pin], []], 'the truth of the locks')

  same(await seam.devices.simulate.connect({ device_id: BACK }), undefined, 'connect')
  await advance(600)
  far = await get(1)
  same([far.status, far.errors, far.warnings], ['set', [], []], 'heard again')
  same(far.pending_mutations, [], 'nothing left to do')
  same([await pins(FRONT), await pins(BACK)], [[pin], [pin]], 'once, and the same')
  device = await seam.devices.get({ device_id: BACK })
  same([device.properties.online, device.errors], [true, []], 'the device')
})
