"""The API: `uvicorn example_apps.fastapi_chat.app:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import openai
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from llmobs.contrib.fastapi import LLMObsMiddleware, TrackerDep
from llmobs.contrib.openai import instrument

from . import agent
from .admin import mount_viewer
from .assistant import Assistant
from .contacts import Contact, NotAContactError, extract_contact
from .conversations import Conversations


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # The address and the key come from OPENAI_BASE_URL and OPENAI_API_KEY.
    async with openai.AsyncOpenAI(max_retries=2, timeout=30) as client:
        # The second line: each call is recorded, in the run of the request that makes it.
        app.state.assistant = Assistant(instrument(client, include_usage=True))
        app.state.conversations = Conversations()
        yield


app = FastAPI(title="Chat", lifespan=lifespan)
app.add_middleware(LLMObsMiddleware, service_name="chat-api")
mount_viewer(app)


class Question(BaseModel):
    message: Annotated[str, Field(min_length=1, max_length=100_000)]
    conversation_id: str | None = None
    user: str = "anonymous"
    model: str = "gpt-4o-mini"


class Answer(BaseModel):
    answer: str
    conversation_id: str | None = None


def get_assistant(request: Request) -> Assistant:
    assistant: Assistant = request.app.state.assistant
    return assistant


def get_conversations(request: Request) -> Conversations:
    conversations: Conversations = request.app.state.conversations
    return conversations


AssistantDep = Annotated[Assistant, Depends(get_assistant)]
ConversationsDep = Annotated[Conversations, Depends(get_conversations)]


@app.post("/chat")
async def chat(
    question: Question,
    tracker: TrackerDep,
    assistant: AssistantDep,
    conversations: ConversationsDep,
    background: BackgroundTasks,
) -> Answer:
    """Answer at once; the conversation gets its title after the answer is out."""
    tracker.user_id = question.user
    conversation = conversations.open(question.conversation_id)
    tracker.session_id = conversation.id
    messages = conversation.ask(question.message)
    reply = await assistant.answer(messages, model=question.model)
    conversation.answered(reply.content or "")
    if conversation.title is None:
        background.add_task(conversation.find_title, tracker, assistant)
    return Answer(answer=reply.content or "", conversation_id=conversation.id)


@app.post("/chat/stream")
async def chat_stream(
    question: Question, tracker: TrackerDep, assistant: AssistantDep
) -> StreamingResponse:
    """Answer word by word, as server-sent events."""
    tracker.user_id = question.user

    async def events() -> AsyncIterator[str]:
        words = assistant.stream(
            [{"role": "user", "content": question.message}], model=question.model
        )
        async for piece in words:
            yield f"data: {Answer(answer=piece).model_dump_json()}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/agent")
async def ask_agent(question: Question, tracker: TrackerDep, assistant: AssistantDep) -> Answer:
    """Answer with the help of two tools: the weather, and a calculator."""
    tracker.user_id = question.user
    tracker.tags = (*tracker.tags, "agent")
    return Answer(answer=await agent.run(tracker, assistant, question.message, question.model))


@app.post("/contacts")
async def find_contact(question: Question, tracker: TrackerDep, assistant: AssistantDep) -> Contact:
    """Read a contact out of a text. The model often answers in prose instead: this one fails."""
    tracker.user_id = question.user
    return await extract_contact(tracker, assistant, question.message, question.model)


@app.get("/conversations/{conversation_id}")
async def conversation_title(
    conversation_id: str, conversations: ConversationsDep
) -> dict[str, str | None]:
    conversation = conversations.find(conversation_id)
    if conversation is None:
        raise HTTPException(404, "no such conversation")
    return {"id": conversation.id, "title": conversation.title}


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.exception_handler(openai.RateLimitError)
async def model_is_busy(request: Request, error: openai.RateLimitError) -> JSONResponse:
    return JSONResponse({"detail": "the model is busy, try again"}, 503, {"retry-after": "1"})


@app.exception_handler(openai.APIError)
async def model_failed(request: Request, error: openai.APIError) -> JSONResponse:
    return JSONResponse({"detail": "the model failed"}, 502)


@app.exception_handler(NotAContactError)
async def answer_is_useless(request: Request, error: NotAContactError) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 502)
