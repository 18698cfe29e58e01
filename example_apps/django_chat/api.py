"""The same for programs: endpoints of Django REST framework."""

import openai
from rest_framework import generics, serializers
from rest_framework.exceptions import APIException

from . import assistant
from .models import Conversation
from .tasks import find_title


class ModelIsBusy(APIException):
    status_code = 503
    default_detail = "the model is busy, try again"


class ConversationSerializer(serializers.ModelSerializer):
    class Meta:
        model = Conversation
        fields = ("id", "user", "message", "answer", "title")
        read_only_fields = ("answer", "title")


class Conversations(generics.ListCreateAPIView):
    """All conversations; a new one is answered at once."""

    queryset = Conversation.objects.order_by("-pk")
    serializer_class = ConversationSerializer

    def perform_create(self, serializer: ConversationSerializer) -> None:
        asked = serializer.validated_data
        self.request.llmobs.user_id = asked.get("user", "anonymous")
        try:
            answer = assistant.answer(asked["message"])
        except openai.APIError as error:
            raise ModelIsBusy from error
        find_title.delay(serializer.save(answer=answer).pk)


class OneConversation(generics.RetrieveAPIView):
    queryset = Conversation.objects.all()
    serializer_class = ConversationSerializer
