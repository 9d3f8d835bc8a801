/** The demo's rows, as its owners see them. */
export interface Booking {
  id: number;
  client_id: string;
  provider_id: string;
  service: string;
  status: 'PENDING' | 'CONFIRMED' | 'DECLINED' | 'COMPLETED' | 'CANCELLED';
  price: number;
  starts_at: string;
  provider_note?: string | null;
}

export interface Payment {
  id: number;
  booking_id: number;
  amount: number;
  status: 'HELD' | 'RELEASED' | 'REFUNDED';
}

export interface Payout {
  id: number;
  provider_id: string;
  payment_id: number | null;
  amount: number;
  status: 'SCHEDULED' | 'PAID';
  created_at: string;
}

declare module '@pgbell/react' {
  interface Register {
    rows: { booking: Booking; payment: Payment; payout: Payout };
  }
}
