package ws

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// notificationType is the event type by which POST /api/socket makes
// notifications.
const notificationType = "notification"

// Notice is a notification for each of some users. It was checked.
type Notice struct {
	Users          []string
	Title, Message string
	// Level is one of info, success, warning, error.
	Level string
	// Type is what it is about, a word.
	Type string
	// Data is any JSON, or nil.
	Data json.RawMessage
	// IdempotencyKey is as in [Publication].
	IdempotencyKey string
}

// The bounds of a notification. The database has the same.
const (
	maxTitle       = 500  // characters
	maxNotice      = 4000 // characters
	maxNoticeData  = 64 << 10
	maxNoticeParts = 9000
)

var levels = []string{"info", "success", "warning", "error"}

// noticeData is the data of a publication that is a notification.
type noticeData struct {
	Title   string          `json:"title"`
	Message string          `json:"message"`
	Level   string          `json:"level"`
	Data    json.RawMessage `json:"data"`
}

// decodeNotice makes of a publication a notification.
func decodeNotice(p Publication) (Notice, *Error) {
	data := noticeData{Level: levels[0]}
	if err := decodeStrictly(p.Data, &data, "data of a notification is not {title, message, level, data}"); err != nil {
		return Notice{}, err
	}
	var wrong string
	switch {
	case len(p.Roles)+len(p.Rooms) > 0 || len(p.Users) == 0:
		wrong = "A notification is kept for users: name targetUsers, and no targetRoles or targetRooms."
	case data.Title == "" || utf8.RuneCountInString(data.Title) > maxTitle:
		wrong = "data.title takes 1 to 500 characters."
	case utf8.RuneCountInString(data.Message) > maxNotice:
		wrong = "data.message takes at most 4000 characters."
	case strings.ContainsRune(data.Title+data.Message, 0):
		wrong = "data.title and data.message take no zero byte."
	case !slices.Contains(levels, data.Level):
		wrong = "data.level takes info, success, warning or error."
	case len(data.Data) > maxNoticeData:
		wrong = "data.data has more than 64 KiB."
	case bytes.Count(data.Data, []byte("{"))+bytes.Count(data.Data, []byte("[")) > maxNoticeParts:
		wrong = "data.data has more than 9000 objects and arrays."
	}
	if wrong != "" {
		return Notice{}, errBadRequest.because(wrong)
	}
	return Notice{Users: p.Users, Title: data.Title, Message: data.Message, Level: data.Level, Type: p.Action, Data: data.Data}, nil
}

var preferredType = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_.]{0,128}|\*)$`)

// decodePreferences reads and checks {preferences: [{type, audience, delivery}]}.
func decodePreferences(body []byte) ([]Preference, *Error) {
	var data preferencesData
	const want = "The body is not {preferences: [{type, audience, delivery}]}"
	if err := decodeStrictly(body, &data, want); err != nil {
		return nil, err
	}
	if data.Preferences == nil {
		return nil, errBadRequest.because(want + ".")
	}
	if len(data.Preferences) > maxPreferences {
		return nil, errBadRequest.because("There are more than 200 preferences.")
	}
	type subject struct{ typ, audience string }
	seen := make(map[subject]bool)
	for i := range data.Preferences {
		p := &data.Preferences[i]
		if p.Type == "" {
			p.Type = "*"
		}
		if p.Audience == "" {
			p.Audience = "*"
		}
		var wrong string
		switch {
		case !preferredType.MatchString(p.Type):
			wrong = "type takes letters, digits, dots and underscores, or *."
		case len(p.Audience) > maxPreferredText || strings.IndexByte(p.Audience, 0) >= 0:
			wrong = "audience takes at most 128 bytes, and no zero byte."
		case p.Delivery != "in_app" && p.Delivery != "muted":
			wrong = "delivery takes in_app or muted."
		case seen[subject{p.Type, p.Audience}]:
			wrong = "There are two preferences for one type and audience."
		}
		if wrong != "" {
			return nil, errBadRequest.because(wrong)
		}
		seen[subject{p.Type, p.Audience}] = true
	}
	return data.Preferences, nil
}
