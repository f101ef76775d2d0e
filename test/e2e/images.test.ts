import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { BlobSASPermissions } from '@azure/storage-blob'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectAccount } from '../../src/shared/blob-store.ts'
import { layout } from '../../src/shared/layout.ts'
import { createGraphBuilder, imageValue } from '../../src/shared/models/graph-builder.ts'
import { elementTypes, encodeModel } from '../../src/shared/models/onnx-schema.ts'
import { difference, picture, pixelsOf, shownPixels } from '../support/pictures.ts'
import { buildModel, threefold, writeUpscale } from '../support/onnx-models.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'

let stack: TestStack
beforeAll(async () => {
  stack = await startTestStack({ workers: 2, restart: false })
})
afterAll(async () => await stack?.stop())

type ItemsReport = {
  status: string
  items: { total: number; failed: number; failures: { key: string; code: string; message: string }[] }
  output: { url: string }
}
const report = async (id: string) => (await stack.api.report(id)) as unknown as ItemsReport
const outputOf = async (id: string) => {
  const answer = await stack.call('GET', `/v1/jobs/${id}/output`)
  return { text: await answer.text(), type: answer.headers.get('content-type') }
}
const put = async (name: string, bytes: Buffer) => await stack.media.write(name, bytes)
const size = { width: 40, height: 24 }

test('every kind of image is scored as it is shown, and becomes one of its kind', async () => {
  const base = 'kinds/'
  const srgb = pixelsOf(size)
  const grey = await picture(size).greyscale().png().toBuffer()
  const deep = await picture(size).toColourspace('rgb16').png().toBuffer()
  const alpha = await picture(size)
    .joinChannel(Buffer.alloc(size.width * size.height, 128), { raw: { ...size, channels: 1 } })
    .png()
    .toBuffer()
  expect(await sharp(deep).metadata()).toMatchObject({ depth: 'ushort' })
  await put(`${base}a.png`, await picture(size).png().toBuffer())
  await put(`${base}b.jpg`, await picture(size).jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer())
  await put(`${base}c.webp`, await picture(size).webp({ lossless: true }).toBuffer())
  await put(`${base}d.tiff`, await picture(size).tiff({ compression: 'lzw' }).toBuffer())
  await put(`${base}e.avif`, await picture(size).avif({ quality: 95 }).toBuffer())
  await put(`${base}deep/16.png`, deep)
  await put(`${base}grey.png`, grey)
  await put(`${base}alpha.png`, alpha)
  await put(
    `${base}turned.jpg`,
    await picture(size).withMetadata({ orientation: 6 }).jpeg({ quality: 100 }).toBuffer(),
  )
  await put(`${base}wide.png`, await picture(size).withIccProfile('p3').png().toBuffer())
  await put(`${base}notes.txt`, Buffer.from('no image, and not called like one'))

  const { id } = await stack.api.submit({ source: { images: { prefix: base } }, model: 'passthrough' })
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 10, total: 10 } })
  expect(await report(id)).toMatchObject({ items: { total: 10, failed: 0, failures: [] } })
  const out = layout.images(id)
  expect((await stack.namesUnder(out)).map((name) => name.slice(out.length)).sort()).toEqual(
    [
      'a.png',
      'alpha.png',
      'b.jpg',
      'c.webp',
      'd.tiff',
      'deep/16.png',
      'e.avif',
      'grey.png',
      'turned.jpg',
      'wide.png',
    ].sort(),
  )
  const made = async (key: string) => (await stack.media.read(`${out}${key}`)) as Buffer
  const source = async (key: string) => (await stack.media.read(`${base}${key}`)) as Buffer
  const apart = async (key: string) =>
    difference((await shownPixels(await made(key))).data, (await shownPixels(await source(key))).data)
  for (const key of ['a.png', 'd.tiff', 'deep/16.png', 'grey.png'])
    expect([key, await apart(key)]).toEqual([key, { most: 0, mean: 0 }])
  // What is lossy loses a little once more.
  for (const key of ['b.jpg', 'c.webp', 'e.avif']) expect((await apart(key)).mean).toBeLessThan(12)
  expect((await shownPixels(await made('a.png'))).data).toEqual(srgb)
  // Upright, and nobody turns it again.
  expect(await sharp(await made('turned.jpg')).metadata()).toMatchObject({ width: 24, height: 40 })
  expect((await sharp(await made('turned.jpg')).metadata()).orientation ?? 1).toBe(1)
  // Another profile's numbers were brought to sRGB, and no profile is left that would say otherwise.
  const wide = await sharp(await made('wide.png')).metadata()
  expect(wide.icc).toBeUndefined()
  expect((await apart('wide.png')).mean).toBeLessThan(3)
  const kept = await sharp(await made('alpha.png'))
    .extractChannel('alpha')
    .raw()
    .toBuffer()
  expect(new Set(kept)).toEqual(new Set([128]))
  // Nothing is left of how it was made.
  expect(await stack.namesUnder(layout.segments(id))).toEqual([])
  expect(await stack.namesUnder(layout.items(id))).toEqual([])
})

test('one broken image in a hundred is named, and the others are there', async () => {
  const base = 'many/'
  const file = await picture(size).png().toBuffer()
  const names = Array.from({ length: 200 }, (_, i) => `${base}${String(i).padStart(3, '0')}.png`)
  const broken = [7, 150]
  await Promise.all(
    names.map(async (name, i) =>
      put(name, i === 150 ? Buffer.alloc(0) : broken.includes(i) ? file.subarray(0, file.length >> 1) : file),
    ),
  )
  const request = { source: { images: { prefix: base } }, model: 'passthrough', batch: { items: 20 } }
  const { id } = await stack.api.submit({
    ...{ ...request, errorThreshold: 2 },
    output: { images: { prefix: 'made/many/', format: 'webp' } },
  })
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  const { items } = await report(id)
  expect(items).toMatchObject({ total: 200, failed: 2 })
  expect(items.failures.map(({ key, code }) => [key, code])).toEqual(
    ['007.png', '150.png'].map((key) => [key, 'bad-image']),
  )
  expect(items.failures.map(({ message }) => message).join()).not.toMatch(/scratch|\/tmp/)
  expect(await stack.namesUnder('made/many/')).toHaveLength(198)
  // Of whatever sizes images are, their pace is known by a few.
  const rates = async () => {
    const fleet = (await (await stack.call('GET', '/v1/fleet')).json()) as { rates: Record<string, string>[] }
    return fleet.rates.map((rate) => `${rate['model']} ${rate['size']}`)
  }
  await expect.poll(rates).toContain('passthrough@1 32x32')
  expect(await rates()).not.toContain('passthrough@1 40x24')

  // One more than may fail, and the job says so, with an example.
  const strict = await stack.api.submit({ ...request, errorThreshold: 1 })
  const ended = await stack.ends(strict.id)
  expect(ended).toMatchObject({ status: 'failed', error: { code: 'too-many-errors' } })
  expect(ended.error?.message).toMatch(/\d+\.png/)
  expect(await stack.namesUnder(layout.images(strict.id))).toEqual([])
  expect(await stack.namesUnder(layout.segments(strict.id))).toEqual([])
})

test('an image with an odd name fails alone; an upload is found by nobody but by its whole folder', async () => {
  const file = await picture(size).png().toBuffer()
  const answer = await stack.call('POST', '/v1/uploads', {
    body: JSON.stringify({ name: 'mine.png' }),
    headers: { 'content-type': 'application/json' },
  })
  const name = stack.media.nameOf(((await answer.json()) as { source: string }).source) ?? ''
  for (const each of ['up/a.png', 'up//b.png', name]) await put(each, file)
  const folder = name.slice(0, name.lastIndexOf('/') + 1)
  const ends = async (prefix: string) => {
    const { id } = await stack.api.submit({ source: { images: { prefix } }, model: 'passthrough' })
    expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
    const { items } = await report(id)
    return {
      ...items,
      made: (await stack.namesUnder(layout.images(id))).map((each) => each.split('/').at(-1)),
    }
  }
  expect(await ends('up')).toMatchObject({
    ...{ total: 2, failed: 1, made: ['a.png'] },
    failures: [{ key: 'up//b.png', code: 'bad-key' }],
  })
  expect(await ends(folder)).toMatchObject({ total: 1, failed: 0, made: ['mine.png'] })
})

test('a list and a manifest name images; a model may make larger ones of them', async () => {
  const model = await stack.addModel(
    buildModel({ opset: 13, write: (graph) => writeUpscale(graph, 'image', 3) }),
    {
      name: 'thrice',
      input: { layout: 'NCHW', type: 'float32' },
      output: { layout: 'NCHW', type: 'float32', scale: 3 },
    },
  )
  await put('some/x/one.png', await picture(size, 1).png().toBuffer())
  await put('some/y/one.png', await picture({ width: 31, height: 17 }, 2).png().toBuffer())
  const urls = ['some/x/one.png', 'some/y/one.png', 'some/none.png'].map((name) => stack.media.url(name))
  const list = await stack.api.submit({ source: { images: { list: urls } }, model })
  const lines = [{ key: 'first', name: 'some/x/one.png' }, { url: urls[1] }]
  await put('some/manifest.ndjson', Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join('')))
  const manifest = { manifest: stack.media.url('some/manifest.ndjson') }
  const named = await stack.api.submit({ source: { images: manifest }, model })

  await stack.ends(list.id)
  expect(await report(list.id)).toMatchObject({
    status: 'succeeded',
    items: { total: 3, failed: 1, failures: [{ key: 'none.png', code: 'source-not-found' }] },
  })
  const large = (await stack.media.read(`${layout.images(list.id)}1-one.png`)) as Buffer
  expect(await sharp(large).metadata()).toMatchObject({ width: 93, height: 51 })
  const { data } = await shownPixels(large)
  const small = pixelsOf({ width: 31, height: 17 }, 2)
  expect([data[0], data[3], data[6], data[9]]).toEqual([small[0], small[0], small[0], small[3]])

  await stack.ends(named.id)
  expect(await report(named.id)).toMatchObject({ status: 'succeeded', items: { total: 2, failed: 0 } })
  const keys = (await stack.namesUnder(layout.images(named.id))).map(
    (name) => name.split('output.images/')[1],
  )
  expect(new Set(keys)).toEqual(new Set(['first.png', 'some/y/one.png']))
})

test('images of somebody else come with a SAS, which is told to nobody and gone with the job', async () => {
  const theirs = connectAccount(stack.stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? '').getContainerClient(
    'theirs',
  )
  await theirs.createIfNotExists()
  const expiresOn = new Date(Date.now() + 3_600_000)
  const permissions = BlobSASPermissions.parse('r')
  const file = await picture(size).png().toBuffer()
  await theirs.getBlockBlobClient('good.png').upload(file, file.length)
  const urls = await Promise.all(
    ['good.png', 'gone.png'].map((name) =>
      theirs.getBlockBlobClient(name).generateSasUrl({ permissions, expiresOn }),
    ),
  )
  const signatures = urls.map((url) => new URL(url).searchParams.get('sig') ?? '')
  const wrong = new URL(urls[0] ?? '')
  wrong.searchParams.set('sig', Buffer.from('not what was signed, of the same length').toString('base64'))
  const list = [...urls, wrong.href.replace('good.png', 'wrong.png')]
  const lines = list.map((url, i) => `${JSON.stringify({ key: `m${i}.png`, url })}\n`)
  await put('theirs.ndjson', Buffer.from(lines.join('')))
  for (const [images, keys] of [
    [{ list }, ['gone.png', 'wrong.png']],
    [{ manifest: stack.media.url('theirs.ndjson') }, ['m1.png', 'm2.png']],
  ] as const) {
    const { id } = await stack.api.submit({ source: { images }, model: 'passthrough', logLevel: 'debug' })
    expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 3, total: 3 } })
    const { items } = await report(id)
    expect(items.failures.map(({ key, code }) => [key, code])).toEqual([
      [keys[0], 'source-not-found'],
      [keys[1], 'source-forbidden'],
    ])
    const names = await stack.namesUnder(layout.job(id))
    expect(names.filter((name) => /secret/.test(name))).toEqual([])
    const logs = join(stack.dir, 'logs')
    const said = await Promise.all([
      ...names.map(async (name) => String(await stack.media.read(name))),
      ...(await readdir(logs))
        .filter((name) => name.endsWith('.ndjson'))
        .map(async (name) => readFile(join(logs, name), 'utf8')),
    ])
    for (const signature of [...signatures, wrong.searchParams.get('sig') ?? ''])
      for (const secret of [signature, encodeURIComponent(signature)])
        expect(said.join('\n')).not.toContain(secret)
  }
  // Asked for by its log level: each item that failed, as it did.
  const worker = await readFile(join(stack.dir, 'logs', 'worker-1.ndjson'), 'utf8')
  const other = await readFile(join(stack.dir, 'logs', 'worker-2.ndjson'), 'utf8')
  expect(`${worker}${other}`).toMatch(/"key":"wrong.png".*an item failed/)

  // Scores go where a SAS lets them, and it is gone with the job too.
  const place = theirs.getBlockBlobClient('shades.csv')
  const mayWrite = BlobSASPermissions.parse('cw')
  const url = await place.generateSasUrl({ permissions: mayWrite, expiresOn })
  const model = await stack.addModel(shade(), { ...shadeManifest, name: 'shade-of-theirs' })
  const source = { images: { list: list.slice(0, 1) } }
  const { id } = await stack.api.submit({ source, model, output: { scores: { url, format: 'csv' } } })
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', output: url.replace(/\?.*/, '') })
  expect((await place.downloadToBuffer()).toString()).toMatch(/^key,score\ngood.png,0\.\d+\n$/)
})

test('faces are found where they are: scores of a detector, as NDJSON and as CSV', async () => {
  // Boxes at fixed places: what is tried is how they come to the item's own pixels.
  const model = await stack.addModel(boxes(), {
    name: 'boxes',
    input: { layout: 'NCHW', type: 'float32', range: '0..1' },
    size: { width: 32, height: 32, fit: 'letterbox' },
    scores: { task: 'detection', scores: 'scores', boxes: 'boxes', labels: ['none', 'face'], background: 0 },
  })
  await put('faces/a.png', await picture({ width: 320, height: 160 }).png().toBuffer())
  await put('faces/b,"c".png', await picture({ width: 64, height: 64 }).png().toBuffer())
  const source = { images: { prefix: 'faces/' } }
  const scored = async (scores: object) => {
    const { id } = await stack.api.submit({ source, model, output: { scores } })
    expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
    return await outputOf(id)
  }
  const { text, type } = await scored({})
  expect(type).toMatch(/ndjson/)
  const rows = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  expect(rows).toEqual([
    { key: 'a.png', count: 1, boxes: [{ label: 'face', score: 0.9, x: 80, y: 40, width: 80, height: 80 }] },
    {
      key: 'b,"c".png',
      count: 1,
      boxes: [{ label: 'face', score: 0.9, x: 16, y: 8, width: 16, height: 16 }],
    },
  ])
  const csv = await scored({ format: 'csv', rename: { key: 'file', boxes: 'faces' } })
  expect(csv.type).toMatch(/csv/)
  expect(csv.text.split('\n')[0]).toBe('file,count,faces')
  expect(csv.text.split('\n')[2]).toMatch(/^"b,""c"".png",1,"\[\{""label"":""face""/)
  const summary = { append: 'summary', rename: { boxes: 'faces' } }
  expect(JSON.parse((await scored(summary)).text)).toEqual({
    items: 2,
    failed: 0,
    labels: { face: 2 },
  })
})

test('several models make one of each image, each in a folder of its own, or a line that says which it was', async () => {
  await put('both/a.png', await picture(size).png().toBuffer())
  await put('both/b.gif', await picture(size).gif().toBuffer())
  await put('both/broken.png', Buffer.from('no image'))
  const source = { images: { prefix: 'both/' } }
  const models = ['passthrough', 'relief']
  const prefix = 'made/both/'
  const { id } = await stack.api.submit({ source, models, output: { images: { prefix } } })
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { total: 6, done: 6 } })
  expect((await report(id)).items).toMatchObject({ total: 6, failed: 2 })
  const names = models.flatMap((model) => ['a.png', 'b.gif.png'].map((name) => `${prefix}${model}/${name}`))
  expect(await stack.namesUnder(prefix)).toEqual(names.toSorted())
  const [same, looked] = await Promise.all(
    models.map(async (model) => shownPixels((await stack.media.read(`${prefix}${model}/a.png`)) as Buffer)),
  )
  expect(same?.data).toEqual(pixelsOf(size))
  expect(difference(looked?.data as Buffer, pixelsOf(size)).mean).toBeGreaterThan(5)

  const shades = await Promise.all(
    ['shade-a', 'shade-b'].map(async (name) => stack.addModel(shade(), { ...shadeManifest, name })),
  )
  const list = ['both/a.png', 'both/b.gif'].map((name) => stack.media.url(name))
  const scores = { format: 'csv' as const, rename: { score: 'Shade' } }
  const listed = await stack.api.submit({ source: { images: { list } }, models: shades, output: { scores } })
  expect(await stack.ends(listed.id)).toMatchObject({ status: 'succeeded', frames: { total: 4 } })
  const rows = (await outputOf(listed.id)).text.trim().split('\n')
  expect(rows[0]).toBe('key,Shade,model')
  expect(rows.slice(1).map((row) => row.split(',').toSpliced(1, 1))).toEqual(
    ['shade-a', 'shade-b'].flatMap((model) => ['a.png', 'b.gif'].map((key) => [key, model])),
  )
  // A manifest's keys come out as it says, in its order.
  const lines = [{ key: 'second', name: 'both/b.gif' }, { url: list[0] }]
  await put('both.ndjson', Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join('')))
  const manifest = { manifest: stack.media.url('both.ndjson') }
  const [model] = shades
  const named = await stack.api.submit({ source: { images: manifest }, model, output: { scores: {} } })
  expect(await stack.ends(named.id)).toMatchObject({ status: 'succeeded' })
  const said = (await outputOf(named.id)).text
  expect(
    said
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { key: string }).key),
  ).toEqual(['second', 'both/a.png'])
})

test('a model of brightness makes pictures of three times the size, in the colours that they had', async () => {
  const spec = { layout: 'NCHW', type: 'float32', range: '0..1', channels: 'Y' }
  const model = await stack.addModel(threefold({ opset: 10, side: 32 }), {
    name: 'luma-thrice',
    input: spec,
    output: { ...spec, scale: 3 },
    size: { width: 32, height: 32, fit: 'tile' },
  })
  const plain = sharp({
    create: { width: 70, height: 45, channels: 3, background: { r: 180, g: 60, b: 20 } },
  })
  await put('grow/plain.png', await plain.png().toBuffer())
  const { id } = await stack.api.submit({ source: { images: { prefix: 'grow/' } }, model })
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  const { data, width, height } = await shownPixels(
    (await stack.media.read(`${layout.images(id)}plain.png`)) as Buffer,
  )
  expect({ width, height }).toEqual({ width: 210, height: 135 })
  expect(new Set([0, 1, 2].map((channel) => new Set(data.filter((_, i) => i % 3 === channel)).size))).toEqual(
    new Set([1]),
  )
  expect([...data.subarray(0, 3)]).toEqual([180, 60, 20])
})

test.each<[string, object, string]>([
  ['scores of a model that makes images', { output: { scores: {} } }, 'bad-output'],
  ['a codec', { output: { codec: 'h264' } }, 'bad-output'],
  ['an output in its source', { output: { images: { prefix: 'many/made/' } } }, 'bad-output'],
  ['an output among the system’s own', { output: { images: { prefix: 'jobs/x/' } } }, 'reserved-name'],
  ['frames between', { intermediate: 'frames' }, 'bad-request'],
])('images are refused with %s', async (_, more, code) => {
  const body = JSON.stringify({ source: { images: { prefix: 'many/' } }, model: 'passthrough', ...more })
  const answer = await stack.call('POST', '/v1/jobs', {
    body,
    headers: { 'content-type': 'application/json' },
  })
  expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([422, code])
})

test('a folder without images fails with one sentence', async () => {
  const { id } = await stack.api.submit({
    source: { images: { prefix: 'nothing-here/' } },
    model: 'passthrough',
  })
  expect(await stack.ends(id)).toMatchObject({ status: 'failed', error: { code: 'no-items' } })
})

/** One number an image: how bright it is. */
const shadeManifest = {
  input: { layout: 'NCHW', type: 'float32', range: '0..1' },
  scores: { task: 'anomaly' },
}
const shade = (): Uint8Array =>
  buildModel({
    opset: 13,
    write: (graph) => graph.add('ReduceMean', ['image'], { axes: [1, 2, 3], keepdims: 0 }, 'scored'),
    outputDims: ['n'],
  })

/** A detector that finds one face and, beside it, one that is nearly the same, whatever it is shown. */
function boxes(): Uint8Array {
  const graph = createGraphBuilder('test/')
  const mean = graph.add('ReduceMean', ['image'], { axes: [0, 1, 2, 3], keepdims: 0 })
  const nothing = graph.add('Mul', [mean, graph.floats([0])])
  graph.add('Add', [graph.floats([0.1, 0.9, 0.2, 0.8], [1, 2, 2]), nothing], {}, 'scores')
  const places = [0.25, 0.125, 0.5, 0.375, 0.26, 0.125, 0.51, 0.375]
  graph.add('Add', [graph.floats(places, [1, 2, 4]), nothing], {}, 'boxes')
  const value = (name: string, dims: number[]) => imageValue(name, elementTypes.float32, dims)
  return encodeModel({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 13 }],
    graph: {
      name: 'boxes',
      node: graph.take(),
      initializer: [],
      input: [value('image', [1, 3, 32, 32])],
      output: [value('scores', [1, 2, 2]), value('boxes', [1, 2, 4])],
      valueInfo: [],
    },
  })
}
