#!/bin/sh
# confvault append-only 1
#
# Update hook of a mirror: no ref is deleted, none moves back or aside, no tag moves.
# Install as hooks/update of the bare repository, executable, and not writable by those who push:
#
#     confvault mirror hook > mirror.git/hooks/update && chmod 755 mirror.git/hooks/update
#
# git runs it once for each ref: update <ref> <old id> <new id>.

ref=$1 old=$2 new=$3

# Replaced objects could make any commit look like a descendant.
GIT_NO_REPLACE_OBJECTS=1
export GIT_NO_REPLACE_OBJECTS
unset GIT_GRAFT_FILE GIT_SHALLOW_FILE

refuse() {
    echo "confvault append-only: $1: $ref" >&2
    exit 1
}

none() {
    case $1 in
    *[!0]*) return 1 ;;
    *) return 0 ;;
    esac
}

case $ref in
refs/heads/?* | refs/tags/?* | refs/large/?*) ;;
*) refuse "not a ref of a store" ;;
esac

none "$new" && refuse "a ref is never deleted"
none "$old" && exit 0
[ "$old" = "$new" ] && exit 0

case $ref in
refs/tags/*) refuse "a tag never moves" ;;
esac

[ "$(git cat-file -t "$new" 2>/dev/null)" = commit ] || refuse "not a commit"
git merge-base --is-ancestor "$old" "$new" 2>/dev/null || refuse "a ref only moves forward"
exit 0
