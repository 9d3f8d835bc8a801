// Package config reads pgbell.yaml: which tables are watched, and how the
// server runs.
//
// The file is read strictly, because a word that is quietly ignored in it is a
// change that somebody never sees, or a column that somebody should not have
// seen. Whatever is unknown, of the wrong type or said twice is an [Error] that
// names the file, the line and, where one is near, the word that was meant.
//
// The document is walked as a syntax tree instead of being decoded into structs.
// That keeps what decoding loses: lines for errors found later, and the order of
// actions, of which the first that matches wins.
//
// A server setting has one name, and the other doors derive from it:
// limits.max_connections in the file is PGBELL_LIMITS_MAX_CONNECTIONS in the
// environment. See [Settings] for which wins.
package config
