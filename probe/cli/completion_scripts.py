"""What each shell is told, so that the Tab key asks `probe __complete`; nothing is kept between two keys."""

from collections.abc import Mapping
from typing import Final

_BASH: Final = r"""# completion of probe for bash; keeps to what 3.2 knows, which macOS brings
_probe() {
    local IFS=$'\n' tab=$'\t' line beside= typed=${COMP_WORDS[COMP_CWORD]}
    local words=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
    COMPREPLY=()
    while read -r line; do
        if [[ -z $beside ]]; then beside=$line; else COMPREPLY+=("${line%%$tab*}"); fi
    done < <(probe __complete "${words[@]}" ":$typed" 2>/dev/null)
    _probe_option() { type compopt >/dev/null 2>&1 && compopt -o "$1"; }
    [[ ${COMPREPLY[*]} == *[\ \;]* ]] && _probe_option filenames
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && _probe_option nospace
    typed=${typed#[\"\']}
    [[ $typed == '=' ]] && typed=
    case $beside in
        files) _probe_option filenames; COMPREPLY+=($(compgen -f -- "$typed")) ;;
        folders) _probe_option filenames; COMPREPLY+=($(compgen -d -- "$typed")) ;;
    esac
}
complete -F _probe probe
"""

_ZSH: Final = r"""#compdef probe
# completion of probe for zsh
_probe() {
    local -a lines rows
    local line word beside
    lines=("${(@f)$(probe __complete "${(@Q)words[2,CURRENT-1]}" ":${(Q)words[CURRENT]}" 2>/dev/null)}")
    beside=$lines[1]
    for line in "${(@)lines[2,-1]}"; do
        word=${line%%$'\t'*}
        word=${word//:/\\:}
        [[ $line == *$'\t'* ]] && word="$word:${line#*$'\t'}"
        rows+=("$word")
    done
    (( $#rows )) && _describe 'probe' rows
    case $beside in
        files) _files ;;
        folders) _files -/ ;;
    esac
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
compdef _probe probe
"""

_FISH: Final = r"""# completion of probe for fish
function __probe_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l typed (commandline -ct | string unescape)
    set -l lines (probe __complete $words ":$typed" 2>/dev/null)
    set -l beside $lines[1]
    set -e lines[1]
    test (count $lines) -gt 0; and printf '%s\n' $lines
    switch "$beside"
        case files
            __fish_complete_path "$typed"
        case folders
            __fish_complete_directories "$typed"
    end
end
complete -c probe -f -a '(__probe_complete)'
"""

_POWERSHELL: Final = r"""# completion of probe for PowerShell
Register-ArgumentCompleter -Native -CommandName probe, probe.exe -ScriptBlock {
    param($typed, $line, $cursor)
    $words = @($line.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $cursor } |
        ForEach-Object { if ($null -ne $_.Value) { [string]$_.Value } else { $_.Extent.Text } })
    $begun = $typed.Trim('"', "'")
    $answer = @(probe __complete @words ":$begun" 2>$null)
    $answer | Select-Object -Skip 1 | ForEach-Object {
        $word, $says = $_ -split "`t", 2
        $written = if ($word -match '[\s;,]') { "'$word'" } else { $word }
        if (-not $says) { $says = $word }
        [System.Management.Automation.CompletionResult]::new($written, $word, 'ParameterValue', $says)
    }
}
"""

SCRIPTS: Final[Mapping[str, str]] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}
