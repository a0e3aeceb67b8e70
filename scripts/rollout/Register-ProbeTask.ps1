<#
.SYNOPSIS
Registers a scheduled task that writes this PC's report into a shared folder once a week.

.DESCRIPTION
For one PC: run it as the member (no administrator rights needed).
For a group policy: Computer or User Configuration > Windows Settings > Scripts > Logon, with the
parameter -Share \\server\share\probe; running it again replaces the task.
The task runs as the member who registered it, only while logged on, and catches up when the PC was off.

.EXAMPLE
.\Register-ProbeTask.ps1 -Share \\server\share\probe

.EXAMPLE
.\Register-ProbeTask.ps1 -Remove
#>
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [string]$Share = $PSScriptRoot,
    [ValidateSet('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday')]
    [string]$Day = 'Monday',
    [string]$At = '10:00',
    [string]$TaskName = 'probe report',
    [switch]$Remove
)
$ErrorActionPreference = 'Stop'

if ($Remove) {
    if ($PSCmdlet.ShouldProcess($TaskName, 'Unregister')) {
        Unregister-ScheduledTask -TaskName $TaskName -Confirm:$false
    }
    return
}
$script = Join-Path $Share 'probe-share.cmd'
if (-not (Test-Path -LiteralPath $script)) {
    throw "No probe-share.cmd in $Share. Copy it there first: it writes its reports where it lies."
}
# cmd.exe needs the doubled quotes: the path may hold blanks.
$action = New-ScheduledTaskAction -Execute "$env:SystemRoot\System32\cmd.exe" -Argument ('/d /c ""{0}" /quiet"' -f $script)
$trigger = New-ScheduledTaskTrigger -Weekly -DaysOfWeek $Day -At $At -RandomDelay (New-TimeSpan -Minutes 30)
$settings = New-ScheduledTaskSettingsSet -StartWhenAvailable -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries `
    -ExecutionTimeLimit (New-TimeSpan -Minutes 10) -MultipleInstances IgnoreNew
$principal = New-ScheduledTaskPrincipal -UserId "$env:USERDOMAIN\$env:USERNAME" -LogonType Interactive -RunLevel Limited
if ($PSCmdlet.ShouldProcess($TaskName, 'Register')) {
    Register-ScheduledTask -TaskName $TaskName -Action $action -Trigger $trigger -Settings $settings `
        -Principal $principal -Force | Out-Null
    Start-ScheduledTask -TaskName $TaskName
    Write-Output "Registered '$TaskName': every $Day at $At into $Share. A first report is being written now."
}
