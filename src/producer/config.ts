import { z } from 'zod'
import {
  commonSettings,
  diskSettings,
  fairSettings,
  fleetSettings,
  mediaSettings,
  privateSettings,
  priceSettings,
  redisSettings,
  systemSettings,
  traceSettings,
} from '../shared/config.ts'
import { longestLinkMinutes } from '../shared/links.ts'
import { namesQueue } from './triggers/queue-setting.ts'

export const producerSettings = {
  ...commonSettings,
  ...redisSettings,
  ...mediaSettings,
  ...privateSettings,
  ...systemSettings,
  ...diskSettings,
  ...fairSettings,
  ...fleetSettings,
  ...priceSettings,
  ...traceSettings,
  FRAMEFLEET_API_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .default(8080)
    .describe("port of the producer's API"),
  FRAMEFLEET_PRODUCER_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .default(9104)
    .describe("port of the producer's health and metrics pages; 0 for none"),
  FRAMEFLEET_API_TOKENS: z
    .string()
    .transform((list) => list.split(',').map((token) => token.trim()))
    .refine(
      (tokens) => tokens.every((token) => token.length >= 16),
      'each token must have 16 characters or more',
    )
    .default([])
    .describe('tokens that callers may use, separated by commas; they may do everything'),
  FRAMEFLEET_API_ISSUER: z
    .string()
    .refine(
      (url) => URL.canParse(url) && /^https:\/\/|^http:\/\/(?:127\.0\.0\.1|localhost)[:/]/.test(url),
      'must be an https URL',
    )
    .optional()
    .describe(
      'whose JWTs are taken, to the letter as their `iss` says: `https://login.microsoftonline.com/TENANT/v2.0` of Entra ID; keys are found by OpenID discovery',
    ),
  FRAMEFLEET_API_AUDIENCE: z
    .string()
    .max(200)
    .optional()
    .describe('what the `aud` of these JWTs must be, to the letter: the application of the API, by its id'),
  FRAMEFLEET_API_DOCS_OPEN: z
    .stringbool()
    .default(true)
    .describe("whether the API's description, `/docs`, needs no token"),
  FRAMEFLEET_LINK_MINUTES: z.coerce
    .number()
    .int()
    .min(1)
    .max(longestLinkMinutes)
    .default(longestLinkMinutes)
    .describe('how long links to videos are good that people are given'),
  FRAMEFLEET_MEDIA_PUBLIC_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('the media account in such links, where people reach it by another URL than roles do'),
  FRAMEFLEET_SOURCE_HOSTS: z
    .string()
    .default('')
    .transform((list) =>
      list
        .split(',')
        .map((host) => host.trim().toLowerCase())
        .filter(Boolean),
    )
    .describe(
      'hosts besides the media account where sources and outputs may lie: host, host:port, or http://host:port',
    ),
  FRAMEFLEET_MAX_SOURCE_BYTES: z.coerce
    .number()
    .int()
    .positive()
    .default(200e9)
    .describe('largest source taken'),
  FRAMEFLEET_ARRIVALS_QUEUE: z
    .string()
    .refine(namesQueue, 'must be the URL of a Storage queue, or a connection string')
    .optional()
    .describe(
      'Storage queue where Event Grid says what has landed: `https://name.queue.core.windows.net/arrivals` (identity), the same with a SAS, or a connection string with `QueueName=arrivals` added',
    ),
  FRAMEFLEET_ARRIVALS_POLL_SECONDS: z.coerce
    .number()
    .min(0)
    .max(3_600)
    .refine((seconds) => seconds === 0 || seconds >= 0.1, 'must be 0, or 0.1 and more')
    .default(0)
    .describe(
      'how often storage is looked at for what has landed, where no Event Grid says so; 0 never does',
    ),
  FRAMEFLEET_READINGS_GRACE_MINUTES: z.coerce
    .number()
    .min(0)
    .max(2_880)
    .default(5)
    .describe(
      'how long after its end an hour takes readings of its own; later ones go to the oldest hour that is open, and so with the next run',
    ),
  FRAMEFLEET_BOARD_WRITABLE: z
    .stringbool()
    .default(false)
    .describe('whether Bull Board may retry and remove entries'),
  FRAMEFLEET_PLAN_WORKERS: z.coerce
    .number()
    .int()
    .min(1)
    .max(1_000)
    .default(4)
    .describe('workers that a video is cut for: more make smaller batches, which end together'),
  FRAMEFLEET_PLAN_FRAMES_PER_SECOND: z
    .union([z.enum(['measured', 'unknown']), z.coerce.number().positive()], {
      error: 'must be measured, unknown, or a number of frames',
    })
    .default('measured')
    .describe(
      'frames a second of one worker that a video is cut for: `measured`, a number, or `unknown`, where the number of frames alone decides; but for `measured` the same video is always cut alike',
    ),
  FRAMEFLEET_SPLIT_CONCURRENCY: z.coerce
    .number()
    .int()
    .min(1)
    .max(16)
    .default(2)
    .describe('videos planned at once'),
  FRAMEFLEET_MAX_QUEUED_FRAMES_PER_CLIENT: z.coerce
    .number()
    .int()
    .positive()
    .default(10e6)
    .describe('frames that one caller may have in line; a single job may have more'),
  FRAMEFLEET_MAX_QUEUED_FRAMES: z.coerce
    .number()
    .int()
    .positive()
    .default(50e6)
    .describe('frames that all callers together may have in line'),
  FRAMEFLEET_MAX_OPEN_JOBS_PER_CLIENT: z.coerce
    .number()
    .int()
    .positive()
    .default(2_000)
    .describe('jobs that one caller may have that have not ended'),
  FRAMEFLEET_MAX_REQUESTS_PER_SECOND: z.coerce
    .number()
    .int()
    .positive()
    .default(200)
    .describe('requests that each producer takes of one caller'),
  FRAMEFLEET_RECONCILE_SECONDS: z.coerce
    .number()
    .min(0.1)
    .max(3_600)
    .default(30)
    .describe('how often open jobs are compared with the queues, and put back where Redis lost them'),
  FRAMEFLEET_JANITOR_MINUTES: z.coerce
    .number()
    .min(0.01)
    .max(1_440)
    .default(5)
    .describe('how often leftovers of ended jobs are looked for'),
  FRAMEFLEET_KEEP_JOBS_DAYS: z.coerce
    .number()
    .nonnegative()
    .default(0)
    .describe(
      'jobs that ended longer ago are removed with their own copy of the output; 0 keeps them for ever',
    ),
  FRAMEFLEET_KEEP_FRAMES_DAYS: z.coerce
    .number()
    .nonnegative()
    .default(30)
    .describe(
      'frames that a job kept as images go so long after its end, or the last edit of one; 0 keeps them with the job',
    ),
  FRAMEFLEET_KEEP_LOGS_DAYS: z.coerce
    .number()
    .int()
    .nonnegative()
    .default(30)
    .describe('days that log lines are kept in the system container; 0 keeps them for ever'),
}
