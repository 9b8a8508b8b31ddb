//! What customers do: one function and one line in [`JOURNEYS`] each.

use crate::random::Random;
use crate::seed;
use crate::shopper::{Journey as Under, Outcome, Shopper};
use axum::http::Method;
use serde_json::{Value, json};

/// A kind of journey and how often it is taken.
pub(crate) struct Journey {
    /// Its share among the journeys.
    weight: u64,
    /// Takes it.
    pub(crate) go: for<'a> fn(&'a mut Shopper) -> Under<'a>,
}

/// Every journey.
pub(crate) static JOURNEYS: &[Journey] = &[
    Journey { weight: 30, go: |shopper| Box::pin(browse(shopper)) },
    Journey { weight: 21, go: |shopper| Box::pin(buy(shopper, "card")) },
    Journey { weight: 4, go: |shopper| Box::pin(buy(shopper, "giftcard")) },
    Journey { weight: 12, go: |shopper| Box::pin(look_back(shopper)) },
    Journey { weight: 8, go: |shopper| Box::pin(search(shopper, "v2")) },
    Journey { weight: 2, go: |shopper| Box::pin(search(shopper, "v1")) },
    Journey { weight: 8, go: |shopper| Box::pin(tidy_account(shopper)) },
    Journey { weight: 8, go: |shopper| Box::pin(watch_health(shopper)) },
    Journey { weight: 5, go: |shopper| Box::pin(stumble(shopper)) },
    Journey { weight: 5, go: |shopper| Box::pin(use_the_app(shopper)) },
    Journey { weight: 5, go: |shopper| Box::pin(ask_the_assistant(shopper)) },
    Journey { weight: 1, go: |shopper| Box::pin(administer(shopper)) },
    Journey { weight: 1, go: |shopper| Box::pin(fail_to_report(shopper)) },
];

/// The journeys of a recording: nothing in them is wrong by itself, no old version, no stack trace.
pub(crate) static CLEAN_JOURNEYS: &[Journey] = &[
    Journey { weight: 26, go: |shopper| Box::pin(browse(shopper)) },
    Journey { weight: 25, go: |shopper| Box::pin(buy(shopper, "card")) },
    Journey { weight: 10, go: |shopper| Box::pin(look_back(shopper)) },
    Journey { weight: 8, go: |shopper| Box::pin(search(shopper, "v2")) },
    Journey { weight: 16, go: |shopper| Box::pin(tidy_account(shopper)) },
    Journey { weight: 6, go: |shopper| Box::pin(watch_health(shopper)) },
    Journey { weight: 4, go: |shopper| Box::pin(stumble(shopper)) },
    Journey { weight: 8, go: |shopper| Box::pin(use_the_app(shopper)) },
    Journey { weight: 8, go: |shopper| Box::pin(ask_the_assistant(shopper)) },
    Journey { weight: 2, go: |shopper| Box::pin(administer(shopper)) },
    Journey { weight: 4, go: |shopper| Box::pin(follow_parcel(shopper)) },
];

/// Picks a journey by its share.
pub(crate) fn draw(journeys: &'static [Journey], random: &mut Random) -> Option<&'static Journey> {
    let total = journeys.iter().map(|journey| journey.weight).sum();
    let mut left = random.below(total);
    journeys.iter().find(|journey| {
        let found = left < journey.weight;
        left = left.saturating_sub(journey.weight);
        found
    })
}

/// Looks at a category and some of its products.
async fn browse(shopper: &mut Shopper) -> Outcome {
    let n = product(shopper);
    let category = seed::category(n);
    let page = 1 + shopper.random.below(2);
    shopper.get(&format!("/api/products?category={category}&page={page}")).await?;
    for _ in 0..=shopper.random.below(3) {
        let sku = seed::sku(product(shopper));
        shopper.get(&format!("/api/products/{sku}")).await?;
        if shopper.random.one_in(2) {
            shopper.get(&format!("/api/products/{sku}/reviews")).await?;
        }
        if shopper.random.one_in(4) {
            shopper.get(&format!("/api/products/{sku}/picture")).await?;
        }
    }
    Ok(())
}

/// Fills a cart and checks out, sometimes changing their mind about an item.
pub(crate) async fn buy(shopper: &mut Shopper, payment: &str) -> Outcome {
    come_in(shopper).await?;
    shopper.get("/api/recommendations").await?;
    let cart = shopper.post("/api/cart", &json!({})).await?.json();
    let cart = cart.get("cart").and_then(Value::as_str).unwrap_or_default().to_owned();
    for n in 1..=1 + shopper.random.below(3) {
        let item = json!({"sku": seed::sku(product(shopper)), "quantity": 1 + shopper.random.below(3)});
        shopper.put(&format!("/api/cart/{cart}/items/{n}"), &item).await?;
        if n > 1 && shopper.random.one_in(3) {
            shopper.delete(&format!("/api/cart/{cart}/items/{n}")).await?;
        }
    }
    shopper.get(&format!("/api/cart/{cart}")).await?;
    let order = shopper.post("/api/orders", &json!({"cart": cart, "payment": payment})).await?.json();
    let Some(number) = order.get("order").and_then(Value::as_u64) else { return Ok(()) };
    shopper.get(&format!("/api/orders/{number}")).await?;
    shopper.get(&format!("/api/orders/{number}/shipping?service=standard")).await?;
    if let Some(charge) = order.get("charge").and_then(Value::as_str) {
        shopper.get(&format!("/api/payments/{charge}")).await?;
    }
    if shopper.random.one_in(8) {
        shopper.delete(&format!("/api/orders/{number}")).await?;
    }
    Ok(())
}

/// Looks at earlier orders and messages; now and then exports everything.
async fn look_back(shopper: &mut Shopper) -> Outcome {
    come_in(shopper).await?;
    let orders = shopper.get("/api/orders").await?.json();
    for order in orders.as_array().into_iter().flatten().take(2) {
        if let Some(number) = order.get("order").and_then(Value::as_u64) {
            shopper.get(&format!("/api/orders/{number}")).await?;
        }
    }
    let email = seed::email(shopper.user);
    shopper.get(&format!("/api/notifications/{email}")).await?;
    if shopper.random.one_in(3) {
        shopper.get("/api/orders/export").await?;
    }
    Ok(())
}

/// Searches with the current app, or an old one.
async fn search(shopper: &mut Shopper, version: &str) -> Outcome {
    let title = seed::title(product(shopper));
    let word = title.split(' ').next_back().unwrap_or("lamp");
    shopper.get(&format!("/api/{version}/search?q={word}")).await?;
    let sku = seed::sku(product(shopper));
    shopper.ask(Method::HEAD, &format!("/api/products/{sku}/picture"), None).await?;
    Ok(())
}

/// Reads the profile, adds an address and removes it again.
async fn tidy_account(shopper: &mut Shopper) -> Outcome {
    come_in(shopper).await?;
    let (user, uuid) = (shopper.user, seed::user_uuid(shopper.user));
    shopper.get("/api/users/me").await?;
    shopper.get(&format!("/api/users/{user}")).await?;
    let address = json!({"street": "1 Loop Road", "city": "Byteford", "postcode": "BF1 1AA"});
    let added = shopper.post(&format!("/api/users/{uuid}/addresses"), &address).await?.json();
    shopper.get(&format!("/api/users/{uuid}/addresses")).await?;
    if let Some(n) = added.get("address").and_then(Value::as_u64) {
        shopper.delete(&format!("/api/users/{uuid}/addresses/{n}")).await?;
    }
    shopper.put(&format!("/api/users/{user}"), &json!({"name": seed::name(user)})).await?;
    Ok(())
}

/// What a monitoring system asks, on connections of their own.
async fn watch_health(shopper: &mut Shopper) -> Outcome {
    shopper.probe("/health").await?;
    shopper.probe("/health/all").await?;
    shopper.probe("/metrics").await?;
    Ok(())
}

/// Honest mistakes: an expired session, a dead link, a typing error, a script from another origin.
async fn stumble(shopper: &mut Shopper) -> Outcome {
    shopper.log_out();
    shopper.get("/api/orders").await?;
    shopper.get("/api/products/BK-404").await?;
    shopper.post("/api/login", &json!({"email": "not an address", "password": "?"})).await?;
    shopper.ask(Method::OPTIONS, "/api/orders", None).await?;
    shopper.get("/favicon.ico").await?;
    shopper.try_password("password1").await?;
    Ok(())
}

/// What the app on a telephone does.
async fn use_the_app(shopper: &mut Shopper) -> Outcome {
    let sku = seed::sku(product(shopper));
    let query =
        format!("query Product {{ product(sku: \"{sku}\") {{ title priceCents related {{ title }} }} }}");
    shopper.post("/graphql", &json!({"query": query})).await?;
    shopper.post("/graphql", &json!({"query": "query Offers { offers { title priceCents } }"})).await?;
    Ok(())
}

/// Asks the assistant for products and for one's own order.
async fn ask_the_assistant(shopper: &mut Shopper) -> Outcome {
    come_in(shopper).await?;
    let mine =
        (seed::FIRST_ORDER..seed::FIRST_ORDER + seed::ORDERS).find(|o| seed::order_owner(*o) == shopper.user);
    let words = ["lamp", "atlas", "kettle", "puzzle", "spade", "record"];
    let word = words.get(shopper.random.below(6) as usize).copied().unwrap_or("lamp");
    shopper.tool("search_products", &json!({"q": word})).await?;
    shopper.tool("get_order", &json!({"order": mine})).await?;
    Ok(())
}

/// Watches a parcel over a WebSocket.
async fn follow_parcel(shopper: &mut Shopper) -> Outcome {
    come_in(shopper).await?;
    shopper.set_field("origin", Some("https://www.shop.example"));
    let watched = (0..3).map(|n| format!("{{\"watch\":{n}}}")).collect::<Vec<_>>();
    let talked = shopper.talk(&watched).await;
    shopper.set_field("origin", None);
    talked
}

/// A report for a day that is none.
async fn fail_to_report(shopper: &mut Shopper) -> Outcome {
    let customer = shopper.user;
    shopper.log_in(seed::ADMIN).await?;
    shopper.get("/api/admin/reports/yesterday").await?;
    shopper.log_out();
    shopper.user = customer;
    Ok(())
}

/// The administrator's morning: accounts, figures, prices, an import.
async fn administer(shopper: &mut Shopper) -> Outcome {
    let customer = shopper.user;
    shopper.log_in(seed::ADMIN).await?;
    shopper.get("/api/admin/users").await?;
    shopper.get("/api/admin/orders/statistics").await?;
    let day = 1 + shopper.random.below(28);
    shopper.get(&format!("/api/admin/reports/2026-11-{day:02}")).await?;
    let n = product(shopper);
    let price = json!({"price_cents": seed::price(n)});
    shopper.put(&format!("/api/admin/products/{}/price", seed::sku(n)), &price).await?;
    shopper.post("/api/admin/products/import", &whole_catalogue()).await?;
    shopper.log_out();
    shopper.user = customer;
    Ok(())
}

/// Logs in unless that was done on an earlier journey.
async fn come_in(shopper: &mut Shopper) -> Outcome {
    if shopper.is_logged_in() { Ok(()) } else { shopper.log_in(shopper.user).await }
}

fn product(shopper: &mut Shopper) -> u64 {
    1 + shopper.random.below(seed::PRODUCTS)
}

/// Every product as it was at the start: a body of many segments that changes nothing but stock and price.
fn whole_catalogue() -> Value {
    let line = |n| {
        let (title, category) = (seed::title(n), seed::category(n));
        json!({"sku": seed::sku(n), "title": title, "category": category, "price_cents": seed::price(n), "stock": 100})
    };
    (1..=seed::PRODUCTS).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_journey_is_taken_about_as_often_as_its_share() {
        let mut random = Random::new(1);
        let mut taken = vec![0_u64; JOURNEYS.len()];
        for _ in 0..10_000 {
            let drawn = draw(JOURNEYS, &mut random).unwrap();
            taken[JOURNEYS.iter().position(|journey| std::ptr::eq(journey, drawn)).unwrap()] += 1;
        }
        let total: u64 = JOURNEYS.iter().map(|journey| journey.weight).sum();
        for (journey, taken) in JOURNEYS.iter().zip(taken) {
            let expected = 10_000 * journey.weight / total;
            assert!(taken.abs_diff(expected) < 30 + expected / 5, "{taken} instead of {expected}");
        }
    }
}
