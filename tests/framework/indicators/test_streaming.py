import subprocess
import sys


def test_importing_the_indicators_does_not_import_numpy() -> None:
    code = "import sys, framework.indicators; sys.exit('numpy' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)

    assert done.returncode == 0
