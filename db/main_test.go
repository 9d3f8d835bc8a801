package db_test

import (
	"testing"

	"github.com/pgbell/pgbell/db/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
