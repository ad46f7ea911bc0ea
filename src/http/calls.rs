//! Every call of the table, from its parameters to its answer.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::response::{IntoResponse, Response};

use super::answer::Refused;
use super::params::Params;
use super::who::{Peer, Who};
use super::{Api, attempts, bluetooth, codes, devices, events, metrics, ours, overview, session, stream};
use crate::api::endpoint::{Call, Endpoint, Needs};
use crate::api::form::Form;
use crate::lock::sim::SimDriver;

/// Answers a call.
pub async fn answer(
    endpoint: &'static Endpoint,
    api: &Arc<Api>,
    request: Request,
) -> Result<Response, Refused> {
    let (mut head, body) = request.into_parts();
    let who = match endpoint.needs {
        Needs::Nothing => Who::anybody(),
        Needs::Key | Needs::Session | Needs::OneOf(_) => Who::from_request_parts(&mut head, api).await?,
    };
    if let Needs::OneOf(scopes) = endpoint.needs {
        who.may_one_of(scopes)?;
    }
    let Params(params) = Params::read(endpoint.parameters, &mut head, body).await?;
    let form = || Form::open(endpoint.parameters, &params);
    let told = match endpoint.call {
        Call::Change(verb) => {
            let handle = codes::handle(&head.headers)?;
            return codes::job(api, verb, &who, handle, &params).await;
        }
        Call::GetCode => codes::get(api, &who, form()?).await,
        Call::ListCodes => codes::list(api, &who, form()?).await,
        Call::GenerateCode => codes::generate(api, &who, form()?).await,
        Call::Reveal => codes::reveal(api, &who, form()?).await,
        Call::GetDevice => devices::get(api, form()?).await,
        Call::ListDevices => devices::list(api, form()?).await,
        Call::GetLock => devices::get_lock(api, form()?).await,
        Call::ListLocks => devices::list_locks(api, form()?).await,
        Call::Connect => devices::simulate(api, form()?, SimDriver::connect),
        Call::Disconnect => devices::simulate(api, form()?, SimDriver::disconnect),
        Call::Remove => devices::simulate(api, form()?, SimDriver::remove),
        Call::GetEvent => events::get(api, &who, form()?).await,
        Call::ListEvents => events::list(api, &who, form()?).await,
        Call::GetAttempt => attempts::get(api, form()?).await,
        Call::ListAttempts => attempts::list(api, form()?).await,
        Call::GetWorkspace => Ok(ours::workspace(api)),
        Call::Health => Ok(ours::health()),
        Call::Ready => return Ok(ours::ready(api).await),
        Call::Metrics => return metrics::metrics(api, &head.headers).await,
        Call::Status => ours::status(api).await,
        Call::SignedReceipt => ours::signed_receipt(api, form()?).await,
        Call::ReceiptKey => Ok(ours::receipt_key(api)),
        Call::ListGroups => overview::groups(api, &who, form()?).await,
        Call::Doors => overview::doors(api, form()?).await,
        Call::DryRun => codes::dry_run(api, &who, &params).await,
        Call::Receipt => ours::receipt(api, &who, form()?).await,
        Call::Queue => ours::queue(api, form()?).await,
        Call::WhyCode => ours::why_code(api, form()?).await,
        Call::WhyDevice => ours::why_device(api, form()?).await,
        Call::Verify => ours::verify(api, form()?).await,
        Call::Job => ours::job(api, &who, form()?).await,
        Call::Stream => return stream::open(api, who, &head.headers, form()?).await,
        Call::SignIn => {
            let peer = head.extensions.get::<Peer>().copied();
            return session::sign_in(api, peer, &head.headers, form()?);
        }
        Call::GetSession => session::get(api, &who, form()?),
        Call::SignOut => return session::sign_out(api, &who, form()?),
        Call::AcceptClock => ours::accept_clock(api, form()?).await,
        Call::Export => ours::export(api, form()?).await,
        Call::Incident => ours::incident(api, form()?).await,
        Call::Scan => bluetooth::scan(api, form()?),
        Call::Pair => bluetooth::pair(api, &who, form()?),
        Call::Unpair => bluetooth::unpair(api, form()?).await,
        Call::Test => bluetooth::test(api, form()?),
        Call::Errand => bluetooth::errand(api, form()?),
        Call::Document => return Ok(ours::document(api)),
    };
    told.map(IntoResponse::into_response)
}
