"""What is done with a ticket: a chain that sorts it, and an agent that answers it."""

from typing import Any

from langchain.agents import create_agent
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_core.tools import ToolException, tool
from langchain_openai import ChatOpenAI

from example_apps.fastapi_chat.tools import calculate

ORDERS = {"A-17": "shipped on Monday", "B-23": "waiting for payment", "C-42": "delivered"}


@tool
def search_orders(query: str) -> str:
    """Search the orders by their number."""
    found = [f"{number}: {state}" for number, state in ORDERS.items() if number in query]
    return "; ".join(found) or "no such order"


@tool
async def calculate_price(expression: str) -> float:
    """Calculate an arithmetic expression."""
    try:
        return await calculate(expression)
    except (ArithmeticError, SyntaxError, ValueError) as error:
        raise ToolException(f"cannot calculate that: {error}") from error


calculate_price.handle_tool_error = True  # told to the model, which may try something else


def sorter(model: str) -> Runnable[dict[str, str], str]:
    """Return the chain that says in a few words what a ticket is about."""
    prompt = ChatPromptTemplate.from_messages(
        [("system", "Say briefly what this is about."), ("user", "{text}")]
    )
    return prompt | ChatOpenAI(model=model, max_retries=2, timeout=30) | StrOutputParser()


def answerer(model: str) -> Any:
    """Return the agent that answers a ticket with the help of two tools."""
    chat = ChatOpenAI(model=model, max_retries=2, timeout=30, stream_usage=True)
    return create_agent(
        chat,
        [search_orders, calculate_price],
        system_prompt="You answer customers. Search the orders for facts.",
    )
