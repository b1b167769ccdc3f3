"""Reddit's answers: the fields and types that its recorded answers have, filled from the sandbox's state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from bot.sandbox.state import (
    CLIENT_ID,
    Comment,
    Conversation,
    Removal,
    SandboxReddit,
    Submission,
    Subreddit,
    Thing,
)

Json = dict[str, Any]

DELETED = "[deleted]"
REMOVED = "[removed]"


def _each(value: object, names: str) -> Json:
    return dict.fromkeys(names.split(), value)


# Fields that never say anything in a sandbox, by the value they keep.
_THING = (
    _each(
        None,
        "author_flair_background_color author_flair_css_class author_flair_template_id author_flair_text"
        " author_flair_text_color banned_at_utc likes mod_note mod_reason_by mod_reason_title removal_reason"
        " top_awarded_type",
    )
    | _each(False, "can_gild edited no_follow saved")
    | _each(0, "downs gilded total_awards_received")
    | _each([], "all_awardings awarders treatment_tags")
    | {"gildings": {}, "score": 1, "ups": 1, "send_replies": True}
)
_SUBMISSION = _THING | (
    _each(
        None,
        "category content_categories discussion_type link_flair_css_class link_flair_text media"
        " parent_whitelist_status pwls secure_media suggested_sort thumbnail_height thumbnail_width view_count"
        " whitelist_status wls",
    )
    | _each(
        False,
        "allow_live_comments clicked contest_mode hidden hide_score is_crosspostable is_meta is_original_content"
        " is_reddit_media_domain is_video media_only over_18 pinned quarantine spoiler visited",
    )
    | _each({}, "media_embed secure_media_embed")
    | {
        "is_self": True,
        "link_flair_background_color": "",
        "link_flair_richtext": [],
        "link_flair_text_color": "dark",
        "link_flair_type": "text",
        "num_crossposts": 0,
        "thumbnail": "self",
        "upvote_ratio": 1.0,
    }
)
_COMMENT = _THING | (
    _each(None, "associated_award collapsed_because_crowd_control collapsed_reason")
    | _each(False, "collapsed score_hidden")
    | {"controversiality": 0}
)
_SUBREDDIT = (
    _each(
        None,
        "banner_size emojis_custom_size header_img header_size header_title icon_size notification_level"
        " submit_link_label submit_text_html submit_text_label suggested_comment_sort user_flair_background_color"
        " user_flair_css_class user_flair_template_id user_flair_text user_flair_text_color whitelist_status wls",
    )
    | _each(
        False,
        "accounts_active_is_fuzzed all_original_content allow_chat_post_creation allow_discovery allow_galleries"
        " allow_images allow_polls allow_videogifs allow_videos can_assign_link_flair can_assign_user_flair"
        " collapse_deleted_comments collections_enabled disable_contributor_requests emojis_enabled"
        " event_posts_enabled has_menu_widget hide_ads is_chat_post_feature_enabled is_crosspostable_subreddit"
        " link_flair_enabled original_content_tag_enabled over18 public_traffic quarantine restrict_commenting"
        " restrict_posting show_media show_media_preview user_can_flair_in_sr user_flair_enabled_in_sr"
        " user_has_favorited user_is_banned user_is_contributor user_is_muted user_sr_flair_enabled wiki_enabled",
    )
    | _each(
        True,
        "free_form_reports is_enrolled_in_new_modmail spoilers_enabled user_is_subscriber user_sr_theme_enabled",
    )
    | _each(0, "accounts_active active_user_count coins comment_score_hide_mins videostream_links_count")
    | _each(
        "",
        "advertiser_category banner_background_color banner_background_image banner_img community_icon icon_img"
        " key_color mobile_banner_image primary_color public_description_html submit_text",
    )
    | {
        "lang": "en",
        "link_flair_position": "left",
        "submission_type": "self",
        "subscribers": 1,
        "user_flair_position": "right",
        "user_flair_richtext": [],
        "user_flair_type": "text",
    }
)
_ACCOUNT = (
    _each(
        False,
        "force_password_reset has_external_account has_mail has_mod_mail hide_from_robots in_beta is_employee is_gold"
        " is_sponsor is_suspended over_18",
    )
    | _each(True, "accept_pms has_verified_email is_mod new_modmail_exists password_set verified")
    | _each(0, "coins gold_creddits inbox_count num_friends")
    | _each(1, "comment_karma link_karma")
    | {"icon_img": "", "oauth_client_id": CLIENT_ID}
)


@dataclass(frozen=True, slots=True)
class View:
    """The sandbox as one account sees it: `viewer` is its name, None for nobody who is logged in."""

    reddit: SandboxReddit
    viewer: str | None

    def moderates(self, subreddit: Subreddit) -> bool:
        """Whether the viewer is one of its moderators."""
        return self.viewer in subreddit.moderators

    def excludes(self, subreddit: Subreddit) -> bool:
        """Whether it keeps the viewer out: banned, or no moderator of a private one."""
        return self.viewer in subreddit.banned or (subreddit.private and not self.moderates(subreddit))

    def text(self, thing: Submission | Comment) -> str:
        """What the viewer may read of a thing: a moderator still sees what moderators removed."""
        if thing.removal is Removal.AUTHOR:
            return DELETED
        if thing.removal and not self.moderates(thing.subreddit):
            return REMOVED
        return thing.selftext if isinstance(thing, Submission) else thing.body

    def author(self, thing: Thing) -> str:
        """The author's name, `[deleted]` wherever the text is gone: a null would break asyncpraw."""
        gone = thing.removal is Removal.AUTHOR or (thing.removal and not self.moderates(thing.subreddit))
        return DELETED if gone else thing.author

    def submission(self, submission: Submission) -> Json:
        """A `t3`."""
        text = self.text(submission)
        data = (
            _SUBMISSION
            | self._common(submission)
            | {
                "archived": submission.archived,
                "domain": f"self.{submission.subreddit.name}",
                "is_robot_indexable": submission.removal is None,
                "num_comments": len(self.reddit.comments_on(submission.id)),
                "removed_by": submission.removed_by,
                "removed_by_category": submission.removal,
                "selftext": text,
                "selftext_html": _html(text) if text else None,
                "subreddit_subscribers": 1,
                "title": submission.title,
                "url": self.reddit.site_url + submission.permalink,
            }
        )
        return {"kind": "t3", "data": data}

    def comment(self, comment: Comment) -> Json:
        """A `t1` that stands alone, as it does everywhere but under its submission."""
        data = (
            _COMMENT
            | self._common(comment)
            | {
                "archived": comment.submission.archived,
                "body": self.text(comment),
                "body_html": _html(self.text(comment)),
                "is_submitter": comment.author == comment.submission.author,
                "link_id": comment.submission.fullname,
                "parent_id": comment.parent,
                "replies": "",
            }
        )
        return {"kind": "t1", "data": data}

    def comment_of_user(self, comment: Comment) -> Json:
        """A `t1` in the list of an account's comments, with what it says of the submission above."""
        above = comment.submission
        shown = self.comment(comment)
        shown["data"] |= {
            "link_author": self.author(above),
            "link_permalink": self.reddit.site_url + above.permalink,
            "link_title": above.title,
            "link_url": self.reddit.site_url + above.permalink,
            "num_comments": len(self.reddit.comments_on(above.id)),
            "over_18": False,
            "quarantine": False,
        }
        return shown

    def thing(self, thing: Submission | Comment) -> Json:
        """A `t3` or a `t1`."""
        return self.submission(thing) if isinstance(thing, Submission) else self.comment(thing)

    def thread(self, submission: Submission) -> list[Json]:
        """A submission's page: a listing of the submission, and a listing of the comments under it."""
        comments = self.reddit.comments_on(submission.id)

        def replies(parent: str, depth: int) -> list[Json]:
            return [branch(comment, depth) for comment in comments if comment.parent == parent]

        def branch(comment: Comment, depth: int) -> Json:
            shown = self.comment(comment)
            below = replies(comment.fullname, depth + 1)
            shown["data"] |= {"depth": depth, "replies": listing(below, counted=False) if below else ""}
            return shown

        shown = self.submission(submission)
        shown["data"]["num_duplicates"] = 0
        return [listing([shown]), listing(replies(submission.fullname, 0), counted=False)]

    def subreddit(self, subreddit: Subreddit) -> Json:
        """A `t5`."""
        data = _SUBREDDIT | {
            "created": subreddit.created_utc,
            "created_utc": subreddit.created_utc,
            "description": "",
            "description_html": None,
            "display_name": subreddit.name,
            "display_name_prefixed": f"r/{subreddit.name}",
            "id": subreddit.id,
            "name": subreddit.fullname,
            "public_description": "",
            "subreddit_type": _type(subreddit),
            "title": subreddit.name,
            "url": f"/r/{subreddit.name}/",
            "user_is_moderator": self.moderates(subreddit),
        }
        return {"kind": "t5", "data": data}

    def account(self, name: str, created_utc: float) -> Json:
        """The answer to `me`."""
        id = self.reddit.account_id(name)
        return _ACCOUNT | {"created": created_utc, "created_utc": created_utc, "id": id, "name": name}

    def moderators(self, subreddit: Subreddit) -> Json:
        """A `UserList`, every moderator with all permissions."""
        children = [
            {
                "author_flair_css_class": None,
                "author_flair_text": None,
                "date": subreddit.created_utc,
                "id": f"t2_{self.reddit.account_id(name)}",
                "mod_permissions": ["all"],
                "name": name,
                "rel_id": f"rb_{self.reddit.account_id(name)}",
            }
            for name in subreddit.moderators
        ]
        return {"kind": "UserList", "data": {"children": children}}

    def _common(self, thing: Submission | Comment) -> Json:
        moderated = self.moderates(thing.subreddit)
        author = self.author(thing)
        data: Json = {
            "approved_at_utc": None,
            "approved_by": thing.approved_by if moderated else None,
            "author": author,
            "banned_by": thing.removed_by if moderated else None,
            "can_mod_post": moderated,
            "created": thing.created_utc,
            "created_utc": thing.created_utc,
            "distinguished": "moderator" if thing.distinguished else None,
            "id": thing.id,
            "locked": thing.locked,
            "mod_reports": [],
            "name": thing.fullname,
            "num_reports": None,
            "permalink": thing.permalink,
            "report_reasons": None,
            "stickied": thing.stickied,
            "subreddit": thing.subreddit.name,
            "subreddit_id": thing.subreddit.fullname,
            "subreddit_name_prefixed": f"r/{thing.subreddit.name}",
            "subreddit_type": _type(thing.subreddit),
            "user_reports": [],
        }
        if author != DELETED:
            data |= {
                "author_flair_richtext": [],
                "author_flair_type": "text",
                "author_fullname": f"t2_{self.reddit.account_id(author)}",
                "author_patreon_flair": False,
                "author_premium": False,
            }
        if moderated:
            moderators = thing.subreddit.moderators
            data |= {
                "approved": thing.approved_by is not None,
                "ignore_reports": False,
                "mod_reports": [[r.reason, r.reporter] for r in thing.open_reports if r.reporter in moderators],
                "num_reports": len(thing.open_reports),
                "removed": thing.removal in (Removal.MODERATOR, Removal.AUTOMOD),
                "report_reasons": [],
                "spam": thing.removal is Removal.REDDIT,
                "user_reports": [
                    [r.reason, 1, False, True] for r in thing.open_reports if r.reporter not in moderators
                ],
            }
        return data


def listing(children: Sequence[Json], after: str | None = None, counted: bool = True) -> Json:
    """A `Listing`; `dist`, the number of children, is null under a submission."""
    data = {
        "after": after,
        "before": None,
        "children": list(children),
        "dist": len(children) if counted else None,
        "modhash": None,
    }
    return {"kind": "Listing", "data": data}


def things(*children: Json) -> Json:
    """The answer to a POST that made or changed something."""
    return {"json": {"data": {"things": list(children)}, "errors": []}}


def no_errors() -> Json:
    """The answer to a POST with nothing to show."""
    return {"json": {"errors": []}}


def conversation(reddit: SandboxReddit, conversation: Conversation) -> Json:
    """One modmail conversation, whole."""
    return {
        "conversation": _conversation(reddit, conversation),
        "messages": {conversation.message_id: _message(reddit, conversation)},
        "modActions": {},
    }


def conversations(reddit: SandboxReddit, found: Sequence[Conversation], viewer: str) -> Json:
    """A page of modmail, in the order of `conversationIds`."""
    return {
        "conversationIds": [c.id for c in found],
        # asyncpraw tells a conversation in a page by `legacyFirstMessageId`.
        "conversations": {c.id: _conversation(reddit, c) | {"legacyFirstMessageId": c.message_id} for c in found},
        "messages": {c.message_id: _message(reddit, c) for c in found},
        "viewerId": f"t2_{reddit.account_id(viewer)}",
    }


def _conversation(reddit: SandboxReddit, c: Conversation) -> Json:
    when = _iso(c.created_utc)
    return {
        "authors": [_modmail_author(reddit, c.author)],
        "id": c.id,
        "isAuto": False,
        "isHighlighted": False,
        "isInternal": c.internal,
        "isRepliable": True,
        "lastModUpdate": when,
        "lastUnread": None,
        "lastUpdated": when,
        "lastUserUpdate": None,
        "numMessages": 1,
        "objIds": [{"id": c.message_id, "key": "messages"}],
        "owner": {"displayName": c.subreddit.name, "id": c.subreddit.fullname, "type": "subreddit"},
        "participant": {} if c.to is None else _modmail_author(reddit, c.to, moderator=False),
        "state": 2 if c.archived else 0 if c.internal else 1,
        "subject": c.subject,
    }


def _message(reddit: SandboxReddit, c: Conversation) -> Json:
    return {
        "author": _modmail_author(reddit, c.author),
        "body": _html(c.body),
        "bodyMarkdown": c.body,
        "date": _iso(c.created_utc),
        "id": c.message_id,
        "isInternal": c.internal,
    }


def _modmail_author(reddit: SandboxReddit, name: str, moderator: bool = True) -> Json:
    return {
        "id": int(reddit.account_id(name), 36),
        "isAdmin": False,
        "isDeleted": False,
        "isHidden": False,
        "isMod": moderator,
        "isOp": moderator,
        "isParticipant": not moderator,
        "name": name,
    }


def _type(subreddit: Subreddit) -> str:
    return "private" if subreddit.private else "public"


def _html(text: str) -> str:
    return f'<!-- SC_OFF --><div class="md"><p>{escape(text)}</p>\n</div><!-- SC_ON -->'


def _iso(utc: float) -> str:
    return datetime.fromtimestamp(utc, UTC).isoformat(timespec="microseconds")
