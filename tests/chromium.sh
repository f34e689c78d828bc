#!/usr/bin/env bash
# Installs what the browser tests need, Chromium and its driver, by apt where that is possible without a question.
# Elsewhere it says how; the tests are then skipped.
set -euo pipefail

command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit 0

root=()
if [[ $EUID -ne 0 ]]; then
  root=(sudo -n)
fi
if command -v apt-get >/dev/null && { [[ $EUID -eq 0 ]] || sudo -n true 2>/dev/null; }; then
  echo "Installing Chromium and its driver with apt-get"
  "${root[@]}" apt-get update -qq && "${root[@]}" apt-get install -y -qq --no-install-recommends chromium chromium-driver && exit 0
fi
echo "The browser tests need chromium and chromedriver on the PATH, and will be skipped. On Debian:" >&2
echo "  sudo apt-get install chromium chromium-driver" >&2
