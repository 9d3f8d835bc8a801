package embedded

import (
	"os"
	"path/filepath"
)

// DataDir is where a server called name keeps its data by default: under
// /var/lib/pgbell for root, whose home other accounts can't enter, else under
// the user's cache directory.
func DataDir(name string) (string, error) {
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib/pgbell", name), nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "pgbell", name), err
}

// cacheDir is where downloads are kept, for the same reasons.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/pgbell", nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "pgbell"), err
}
