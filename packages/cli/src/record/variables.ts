/** What `modslab record` and the hook that it loads into a program agree on. */

/** Environment: the folder for parts of the recording. */
export const FOLDER_VARIABLE = 'MODSLAB_RECORD_FOLDER';
/** Environment: 1, if call sites are wanted. */
export const CALL_SITES_VARIABLE = 'MODSLAB_RECORD_CALL_SITES';
/** How the names of parts end. */
export const PART = '.part';
