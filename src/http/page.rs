//! Pages of lists that are ordered by ids.

use uuid::Uuid;

use crate::api::answer::{Nothing, Pagination};
use crate::api::form::Form;

/// Which part of a list is wanted. A cursor is the id of the last one before it, so that a page does
/// not move when others come or go.
pub struct Page {
    limit: usize,
    /// The last one of the page before.
    pub after: Option<Uuid>,
}

impl Page {
    /// Reads `limit` and `page_cursor`.
    pub fn read(form: &Form<'_>, most: usize) -> Page {
        let limit = form.whole("limit").and_then(|limit| usize::try_from(limit).ok());
        Page {
            limit: limit.map_or(most, |limit| limit.min(most)),
            after: form.uuid("page_cursor"),
        }
    }

    /// Whether one comes after those of the page before.
    pub fn has_yet(&self, id: Uuid) -> bool {
        self.after.is_none_or(|after| id > after)
    }

    /// Takes the page from those that come after the page before: no more is asked of them than one
    /// beyond the page.
    pub fn take<T>(&self, ahead: impl Iterator<Item = T>, id: impl Fn(&T) -> Uuid) -> (Vec<T>, Pagination) {
        let mut page: Vec<T> = ahead.take(self.limit.saturating_add(1)).collect();
        let more = page.len() > self.limit;
        page.truncate(self.limit);
        let cursor = page.last().filter(|_| more).map(id);
        let pagination = Pagination {
            has_next_page: more,
            next_page_cursor: cursor,
            next_page_url: Nothing,
        };
        (page, pagination)
    }
}
