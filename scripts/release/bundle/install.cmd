@echo off
rem Install probe from this folder without any network: install.cmd [FOLDER]
rem FOLDER is where probe will live, %LOCALAPPDATA%\probe-app by default. No administrator needed.
setlocal
set "HERE=%~dp0"
set "TARGET=%~1"
if "%TARGET%"=="" set "TARGET=%LOCALAPPDATA%\probe-app"

set "CHECK=import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))"
if defined PYTHON "%PYTHON%" -c "%CHECK%" >nul 2>nul && goto found
set "PYTHON=py"
"%PYTHON%" -c "%CHECK%" >nul 2>nul && goto found
set "PYTHON=python"
"%PYTHON%" -c "%CHECK%" >nul 2>nul && goto found
echo install.cmd: no Python 3.10 to 3.14 found. Set PYTHON to python.exe, or use the executable. 1>&2
exit /b 1

rem No blocks in parentheses below: a path such as "Program Files (x86)" would end them.
:found
"%PYTHON%" -m venv "%TARGET%" || goto no_venv
"%TARGET%\Scripts\python.exe" -m pip install --quiet --disable-pip-version-check --no-index --find-links "%HERE%wheels" --require-hashes --requirement "%HERE%requirements.txt" || goto no_pip
echo Installed. Start it with: "%TARGET%\Scripts\probe.exe"
exit /b 0

:no_venv
echo install.cmd: the venv module of "%PYTHON%" does not work. probe.pyz needs neither venv nor pip. 1>&2
exit /b 1

:no_pip
echo install.cmd: pip could not install; its message stands above. 1>&2
exit /b 1
