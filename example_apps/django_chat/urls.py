"""Where what is."""

from django.contrib import admin
from django.urls import include, path

from . import api, views

urlpatterns = [
    path("chat", views.chat, name="chat"),
    path("chat/stream", views.chat_stream, name="chat-stream"),
    path("api/conversations", api.Conversations.as_view(), name="conversations"),
    path("api/conversations/<int:pk>", api.OneConversation.as_view(), name="conversation"),
    path("health", views.health),
    path("admin/", admin.site.urls),
    path("llmobs/", include("llmobs.contrib.django.urls")),  # for staff
]
