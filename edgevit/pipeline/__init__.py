"""The three verbs that join the folders: convert, verify, profile. Only these (and the command)
import from the right; everything else imports left."""
