"""The working tree's coordinator against another commit's: processor time per saga, in pairs that take turns."""
