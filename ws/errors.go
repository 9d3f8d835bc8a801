package ws

import (
	"errors"
	"net/http"

	"github.com/gorilla/websocket"

	"github.com/pgbell/pgbell/ws/auth"
)

// The close codes that a client meets. Codes from 4000 on are pgbell's own.
const (
	CloseGoingAway       = websocket.CloseGoingAway       // 1001: the server stops or restarts
	CloseProtocol        = websocket.CloseProtocolError   // 1002: not WebSocket
	CloseUnsupported     = websocket.CloseUnsupportedData // 1003: a binary message
	CloseNotText         = 1007                           // not valid UTF-8
	CloseTooLarge        = websocket.CloseMessageTooBig   // 1009: message over the limit
	CloseTryLater        = websocket.CloseTryAgainLater   // 1013: something behind the server is out of reach
	CloseUnauthenticated = 4001
	CloseExpired         = 4002
	CloseForbidden       = 4003
	CloseSlow            = 4008
	CloseRateLimited     = 4009
	CloseRevoked         = 4010
)

// Error is one thing that can go wrong for a client, as the catalogue [Errors]
// and docs/protocol.md list it. Clients
// get Code, Message, Retryable and Action.
type Error struct {
	// Code is a word for programs. It never changes its meaning.
	Code string `json:"code"`
	// Message is a sentence for people.
	Message string `json:"message"`
	// Retryable says whether the same may succeed later, unchanged.
	Retryable bool `json:"retryable"`
	// Status is the HTTP status where it is told by HTTP; 0 if it never is.
	Status int `json:"-"`
	// Close is the close code of the connection that ends with it; 0 if it
	// goes on.
	Close int `json:"-"`
	// Action is what a client does next, for programs.
	Action Action `json:"action"`
	// Advice is what a client does next, for people.
	Advice string `json:"-"`
}

// Action is what a client that knows nothing of a code does with an error.
type Action string

// The actions.
const (
	// Retry: the same again, with back-off and jitter, where there is a cursor
	// with it.
	Retry Action = "retry"
	// Refresh: get a new token, then go on with the cursor.
	Refresh Action = "refresh"
	// Poll: this door does not open; go on with another, in the end
	// GET /api/events without a stream.
	Poll Action = "poll"
	// Refetch: what the client holds may be stale; fetch it again.
	Refetch Action = "refetch"
	// Stop: nothing changes by itself. Correct the request, or ask somebody.
	Stop Action = "stop"
)

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// because is e with a message that says more.
func (e *Error) because(message string) *Error {
	said := *e
	said.Message = message
	return &said
}

// The catalogue.
var (
	errAuthRequired    = &Error{"auth_required", "Authenticate first.", false, http.StatusUnauthorized, 0, Refresh, "send authenticate"}
	errAuthTimeout     = &Error{"auth_timeout", "No token came in time.", false, 0, CloseUnauthenticated, Retry, "connect again and send authenticate at once"}
	errTokenInvalid    = &Error{"token_invalid", "The token is not accepted.", false, http.StatusUnauthorized, CloseUnauthenticated, Refresh, "sign in again"}
	errTokenExpired    = &Error{"token_expired", "The token has expired.", false, http.StatusUnauthorized, CloseExpired, Refresh, "get a new token, then resume with the cursor"}
	errTokenRevoked    = &Error{"token_revoked", "The token has been revoked.", false, http.StatusUnauthorized, CloseRevoked, Refresh, "sign in again"}
	errAuthUnavailable = &Error{"auth_unavailable", "Tokens cannot be verified now.", true, http.StatusServiceUnavailable, CloseTryLater, Retry, "try again with back-off"}
	errBadRequest      = &Error{"bad_request", "The request could not be understood.", false, http.StatusBadRequest, 0, Stop, "correct the request"}
	errUnknownType     = &Error{"unknown_type", "There are no rows of this type.", false, http.StatusNotFound, 0, Stop, "correct the type, or have its table watched"}
	errUnknownEvent    = &Error{"unknown_event", "The server knows no such event.", false, 0, 0, Stop, "do without, or update the server"}
	errRoomForbidden   = &Error{"room_forbidden", "This room is not open to you.", false, 0, 0, Stop, "stop asking for it with this token"}
	errRoomUnavailable = &Error{"room_unavailable", "Who may enter cannot be told now.", true, 0, 0, Retry, "try again with back-off"}
	errNotifications   = &Error{"notifications_unavailable", "Notifications cannot be read or marked now.", true, http.StatusServiceUnavailable, 0, Retry, "try again with back-off"}
	errTooManyRooms    = &Error{"too_many_rooms", "This session is in as many rooms as it may be.", false, 0, 0, Stop, "leave a room first"}
	errRateLimited     = &Error{"rate_limited", "Too many messages.", true, http.StatusTooManyRequests, CloseRateLimited, Retry, "connect again after a pause and send less"}
	errConnectionLimit = &Error{"too_many_connections", "There are too many connections.", true, http.StatusTooManyRequests, CloseRateLimited, Retry, "close other connections, or try again with back-off"}
	errServerFull      = &Error{"server_full", "The server has no room for another connection.", true, http.StatusServiceUnavailable, 0, Retry, "try again with back-off"}
	errOriginForbidden = &Error{"origin_forbidden", "Pages of this origin may not connect.", false, http.StatusForbidden, 0, Stop, "ask the operator to allow the origin"}
	errUpgradeRequired = &Error{"upgrade_required", "This address speaks WebSocket only.", false, http.StatusUpgradeRequired, 0, Poll, "connect with a WebSocket client"}
	errNotFound        = &Error{"not_found", "There is nothing at this address.", false, http.StatusNotFound, 0, Stop, "correct the address"}
	errDraining        = &Error{"going_away", "The server is stopping.", true, http.StatusServiceUnavailable, CloseGoingAway, Retry, "connect again after the hinted delay and resume with the cursor"}
	errUnavailable     = &Error{"unavailable", "The server cannot do this now.", true, http.StatusServiceUnavailable, CloseTryLater, Retry, "try again with back-off and the same cursor"}
	errMessageTooLarge = &Error{"message_too_large", "The message is too large.", false, 0, CloseTooLarge, Stop, "send smaller messages"}
	errNotUTF8         = &Error{"not_utf8", "The message is not valid UTF-8.", false, 0, CloseNotText, Stop, "correct the client"}
	errBinary          = &Error{"binary_message", "Messages must be text.", false, 0, CloseUnsupported, Stop, "correct the client"}
	errProtocol        = &Error{"protocol_error", "The frame is not valid WebSocket.", false, 0, CloseProtocol, Poll, "correct the client"}
	errForbidden       = &Error{"forbidden", "Your token does not allow this.", false, http.StatusForbidden, CloseForbidden, Stop, "ask the operator for the role"}
	errTooManyAttempts = &Error{"too_many_attempts", "Too many connections from your address in a short time.", true, http.StatusTooManyRequests, 0, Retry, "wait as long as Retry-After says, then back off"}
	errTooManyFailures = &Error{"too_many_failures", "Too many tokens from your address were refused.", true, http.StatusTooManyRequests, CloseRateLimited, Retry, "wait as long as Retry-After says, and come with a good token"}
	errBodyTooLarge    = &Error{"body_too_large", "The request is too large.", false, http.StatusRequestEntityTooLarge, 0, Stop, "send less"}
	errIdempotency     = &Error{"idempotency_conflict", "This idempotency key was used for something else.", false, http.StatusConflict, 0, Stop, "use a new key for a new request"}
	errTooSlow         = &Error{"too_slow", "The client reads too slowly.", true, 0, CloseSlow, Retry, "connect again and resume with the cursor"}
)

// Errors is the catalogue of everything a client can be told. Nothing may
// change it.
var Errors = []*Error{
	errAuthRequired, errAuthTimeout, errTokenInvalid, errTokenExpired, errTokenRevoked, errAuthUnavailable,
	errBadRequest, errUnknownType, errUnknownEvent, errRoomForbidden, errRoomUnavailable, errNotifications, errTooManyRooms,
	errRateLimited, errConnectionLimit, errServerFull, errOriginForbidden, errUpgradeRequired,
	errNotFound, errDraining, errUnavailable, errMessageTooLarge, errNotUTF8, errBinary,
	errProtocol, errTooSlow, errForbidden, errTooManyAttempts, errTooManyFailures,
	errBodyTooLarge, errIdempotency,
}

// errorOf is the error that a code stands for; nil if none does.
func errorOf(code string) *Error {
	for _, e := range Errors {
		if e.Code == code {
			return e
		}
	}
	return nil
}

// authError is what a client hears of a token that was refused with err. An
// authenticator's own words stay with the server.
func authError(err error) *Error {
	switch {
	case errors.Is(err, auth.ErrExpired):
		return errTokenExpired
	case errors.Is(err, auth.ErrInvalid):
		return errTokenInvalid
	default:
		return errAuthUnavailable
	}
}
