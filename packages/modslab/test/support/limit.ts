/** `promise`, or an error after so many seconds; `late` says what it tells. */
export async function limited<T>(
  promise: Promise<T>,
  seconds: number,
  late: () => string | Promise<string>,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(async () => reject(new Error(await late())), seconds * 1000);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}
