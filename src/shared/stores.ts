import { type BlobStore, connectAccount, createBlobStore } from './blob-store.ts'

type MediaSettings = { FRAMEFLEET_MEDIA_ACCOUNT: string; FRAMEFLEET_MEDIA_CONTAINER: string }
type SystemSettings = { FRAMEFLEET_SYSTEM_ACCOUNT: string; FRAMEFLEET_SYSTEM_CONTAINER: string }

/** Inputs, jobs and outputs, where a role's settings say. */
export const openMedia = (settings: MediaSettings): BlobStore =>
  createBlobStore(connectAccount(settings.FRAMEFLEET_MEDIA_ACCOUNT), settings.FRAMEFLEET_MEDIA_CONTAINER)

/** Models and logs, where a role's settings say. */
export const openSystem = (settings: SystemSettings): BlobStore =>
  createBlobStore(connectAccount(settings.FRAMEFLEET_SYSTEM_ACCOUNT), settings.FRAMEFLEET_SYSTEM_CONTAINER)
