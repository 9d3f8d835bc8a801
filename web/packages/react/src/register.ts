import type { AnyRows, Update } from '@pgbell/client';

/**
 * Says once for the whole program what its rows look like:
 *
 * ```ts
 * declare module '@pgbell/react' {
 *   interface Register {
 *     rows: { booking: Booking; payment: Payment };
 *   }
 * }
 * ```
 */
// biome-ignore lint/suspicious/noEmptyInterface: the application fills it
export interface Register {}

/** The application's row types by event type. Anything goes until they are registered. */
export type Rows = Register extends { rows: infer R extends object } ? R : AnyRows;

/** line_item → LineItem. */
export type Pascal<S extends string> = S extends `${infer A}_${infer B}`
  ? `${Capitalize<A>}${Pascal<B>}`
  : Capitalize<S>;

/** `onBookingUpdate`, and so on for each type. */
export type UpdateHandlers<R extends object = Rows> = {
  [T in keyof R & string as `on${Pascal<T>}Update`]?: (update: Update<R[T], T>) => void;
};

/** The name of the handler of a type. */
export function handlerName(type: string): string {
  return `on${type.replace(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase())}Update`;
}
