package oracle

import (
	"os/exec"
	"syscall"
)

// endWithUs has the kernel kill the process when we end, however that is. The
// kernel looks at the thread that starts it, which must not end before.
func endWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
