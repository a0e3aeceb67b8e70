@echo off
rem Double-click: writes this PC's report into the group's shared folder.
rem
rem Put this file INTO the shared folder: reports go where it lies. To write elsewhere, set
rem PROBE_SHARE. A folder "wheels" beside it (pip download probe-llm -d wheels) installs probe
rem for the user who clicks, without network and without administrator rights.
rem    probe-share.cmd /quiet     no pause at the end: for scheduled tasks and logon scripts
setlocal
set "HERE=%~dp0."
if not defined PROBE_SHARE set "PROBE_SHARE=%HERE%"
set "PYTHONUTF8=1"
set "QUIET="
if /i "%~1"=="/quiet" set "QUIET=--quiet"
set "RUN="
set "PYTHON="

call :find
if defined RUN goto :report
call :find_python py -3
call :find_python python
call :find_python python3
if not defined PYTHON goto :no_python
set "SOURCE=probe-llm"
if exist "%HERE%\wheels\" set SOURCE=--no-index --find-links "%HERE%\wheels" probe-llm
%PYTHON% -m pip install --user --quiet --disable-pip-version-check %SOURCE%
call :find
if not defined RUN goto :no_probe

:report
%RUN% --share "%PROBE_SHARE%" %QUIET%
set "CODE=%ERRORLEVEL%"
goto :end

:no_probe
echo probe could not be installed; what pip says stands above.
set "CODE=2"
goto :end

:no_python
echo probe needs Python 3.10 or newer: https://www.python.org/downloads/windows/
echo The Microsoft Store installs Python without administrator rights.
set "CODE=2"

:end
if not defined QUIET pause
exit /b %CODE%

:find
call :find_probe py -3
call :find_probe python
call :find_probe python3
exit /b 0

:find_probe
if defined RUN exit /b 0
%* -c "import sys, probe.cli.main; sys.exit(sys.version_info < (3, 10))" >nul 2>nul
if not "%ERRORLEVEL%"=="0" exit /b 0
set "RUN=%* -m probe"
exit /b 0

:find_python
if defined PYTHON exit /b 0
%* -c "import sys; sys.exit(sys.version_info < (3, 10))" >nul 2>nul
if not "%ERRORLEVEL%"=="0" exit /b 0
set "PYTHON=%*"
exit /b 0
