import { type BlobStore, connectAccount, createBlobStore } from './blob-store.ts'

type MediaSettings = { FRAMEFLEET_MEDIA_ACCOUNT: string; FRAMEFLEET_MEDIA_CONTAINER: string }
type PrivateSettings = { FRAMEFLEET_MEDIA_ACCOUNT: string; FRAMEFLEET_PRIVATE_CONTAINER: string }
type SystemSettings = { FRAMEFLEET_SYSTEM_ACCOUNT: string; FRAMEFLEET_SYSTEM_CONTAINER: string }

/** Inputs, jobs and outputs, where a role's settings say. */
export const openMedia = (settings: MediaSettings): BlobStore =>
  createBlobStore(connectAccount(settings.FRAMEFLEET_MEDIA_ACCOUNT), settings.FRAMEFLEET_MEDIA_CONTAINER)

/** What producers and stitchers keep from workers, where a role's settings say. */
export const openPrivate = (settings: PrivateSettings): BlobStore =>
  createBlobStore(connectAccount(settings.FRAMEFLEET_MEDIA_ACCOUNT), settings.FRAMEFLEET_PRIVATE_CONTAINER)

/** Models and logs, where a role's settings say. */
export const openSystem = (settings: SystemSettings): BlobStore =>
  createBlobStore(connectAccount(settings.FRAMEFLEET_SYSTEM_ACCOUNT), settings.FRAMEFLEET_SYSTEM_CONTAINER)
