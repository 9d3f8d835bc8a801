import { notifications } from '@mantine/notifications';

/** Shows something for a few seconds. The same id is shown once. */
export function toast(message: string, more: { title?: string; id?: string; failed?: boolean } = {}): void {
  const { failed, ...rest } = more;
  notifications.show({
    ...rest,
    message,
    color: failed ? 'red.9' : 'teal.9',
    autoClose: 4000,
    closeButtonProps: { 'aria-label': 'Close' },
  });
}
