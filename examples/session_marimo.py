"""A session in marimo: `marimo edit examples/session_marimo.py`, in the folder in which you ran `verbatim demo`."""

import marimo

app = marimo.App()


@app.cell
def open_session():
    import marimo as mo

    import verbatim

    session = verbatim.open("last")
    return mo, session, verbatim


@app.cell
def summary(mo, session):
    mo.md(f"# A session\n\n```\n{session.summary()}\n```")


@app.cell
def orders(session):
    # marimo shows a polars or pandas frame as a table to sort and filter
    orders = session.orders.select("client_order_id", "side", "quantity", "price", "status", "filled_quantity").polars()
    orders
    return (orders,)


@app.cell
def pick(mo, orders):
    order = mo.ui.dropdown(orders["client_order_id"].to_list(), value=orders["client_order_id"][-1], label="order")
    order
    return (order,)


@app.cell
def story(mo, order, session):
    story = session.why(order.value)
    mo.md(f"```\n{story}\n```")
    return (story,)


@app.cell
def moment(mo, session):
    moment = mo.ui.slider(0, session.journal.last_seq, value=session.journal.last_seq // 2, label="record")
    moment
    return (moment,)


@app.cell
def state(mo, moment, session):
    state = session.state(at=moment.value)
    mo.md(f"```\n{state}\n```")
    return (state,)


@app.cell
def bars(session):
    bars = session.bars(5).as_floats().polars()
    bars
    return (bars,)


if __name__ == "__main__":
    app.run()
