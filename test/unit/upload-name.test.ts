import { expect, test } from 'vitest'
import { safeName } from '../../src/producer/link-routes.ts'

test.each([
  ['film.mp4', 'film.mp4'],
  ['My Film (final) #2.mp4', 'My-Film-final-2.mp4'],
  ['C:\\Users\\me\\film.mov', 'film.mov'],
  ['../../jobs/1/job.json', 'job.json'],
  ['..', 'video'],
  ['/', 'video'],
  ['.mp4', 'mp4'],
  ['-rf.mp4', 'rf.mp4'],
  ['Fe\u0302te 東京.mkv', 'F\u00eate-東京.mkv'],
  ['a\u0000b\r\nc.mp4', 'a-b-c.mp4'],
  ['film.mp4.', 'film.mp4'],
  ['%2e%2e%2ffilm.mp4', '2e-2e-2ffilm.mp4'],
  [`${'a'.repeat(300)}.mp4`, `${'a'.repeat(100)}.mp4`],
  [`${'𝒳'.repeat(300)}.mp4`, `${'𝒳'.repeat(100)}.mp4`],
])('a file that is called %j is uploaded as %j', (given, name) => {
  expect(safeName(given)).toBe(name)
  expect(encodeURIComponent(safeName(given))).not.toBe('')
})
